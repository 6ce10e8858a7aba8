#include "kernels/core/plugin.h"

#include <dlfcn.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// The folder of the library that holds this function.
fs::path core_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&core_folder), &info) == 0 || info.dli_fname == nullptr)
    return {};
  return fs::absolute(info.dli_fname).parent_path();
}

std::string last_dl_error() {
  const char* const text = dlerror();
  return text != nullptr ? text : "the loader gave no reason";
}

}  // namespace

std::vector<std::string> plugin_places(const std::string& name) {
  const fs::path own = fs::read_symlink("/proc/self/exe").parent_path();
  std::vector<std::string> places;
  for (const fs::path& folder : {own, own / "../lib/lockstep", core_folder()}) {
    const std::string place = (folder / name).lexically_normal().string();
    if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
  }
  return places;
}

PluginSymbol load_plugin(const std::vector<std::string>& places, const std::string& symbol) {
  PluginSymbol result;
  result.file = places.front();
  for (const std::string& place : places) {
    std::error_code ignored;
    if (!fs::exists(place, ignored)) continue;
    result.file = place;
    result.exists = true;
    break;
  }
  void* const library = dlopen(result.file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) result.address = dlsym(library, symbol.c_str());
  if (result.address == nullptr) result.why_not = last_dl_error();
  return result;
}

PluginTable open_plugin(const PluginWanted& wanted) {
  const PluginSymbol symbol = load_plugin(wanted.places, wanted.entry);
  PluginTable result;
  if (!symbol.exists) {
    result.why_not = wanted.not_built.empty()
                         ? fmt::format("the {} was not found at {}; install it again", wanted.name,
                                       fmt::join(wanted.places, " or "))
                         : fmt::format("this build has no {} ({})", wanted.name, wanted.not_built);
    return result;
  }
  result.file = symbol.file;
  if (symbol.address == nullptr) {
    result.why_not = fmt::format("{} could not be loaded: {}", symbol.file, symbol.why_not);
    return result;
  }
  const void* const table = reinterpret_cast<const void* (*)()>(symbol.address)();
  const char* const abi = *static_cast<const char* const*>(table);
  if (std::string_view(abi) != wanted.abi)
    result.why_not = fmt::format(
        "{} belongs to another build of lockstep (its stamp is {}, this program's {}); install "
        "both from one build",
        symbol.file, abi, wanted.abi);
  else
    result.table = table;
  return result;
}

}  // namespace lockstep
