// Plug-ins: shared libraries that come with the program and are loaded when they are wanted, so
// that the program itself needs none of what they link. They stay loaded: what they made may live
// as long as the program.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

// Where the plug-in of this file name may be: beside the executable, in ../lib/lockstep of it, or
// beside the core library (for programs that are installed elsewhere).
std::vector<std::string> plugin_places(const std::string& name);

struct PluginSymbol {
  void* address = nullptr;
  std::string file;     // that was loaded, or tried; the first place where there is none
  bool exists = false;  // such a file
  std::string why_not;  // the loader's message, where address is null
};

// Loads the first of `places` that exists and looks up `symbol` in it.
PluginSymbol load_plugin(const std::vector<std::string>& places, const std::string& symbol);

// What a plug-in's one C function returns begins with `const char* abi`, a stamp of the headers
// that it was compiled against.
struct PluginTable {
  const void* table = nullptr;
  std::string file;     // that was loaded, where there is one
  std::string why_not;  // one line, where table is null
};

struct PluginWanted {
  std::string name;                 // "CUDA plug-in"
  std::string entry;                // its C function
  const char* abi = nullptr;        // the program's own stamp
  std::string not_built = {};       // why this build made none, or empty
  std::vector<std::string> places;  // of which the first that exists is loaded
};
PluginTable open_plugin(const PluginWanted& wanted);

}  // namespace lockstep
