// Another program's eyes: runs a few lines of Python (numpy, h5py) and returns what they print.
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>

#include "tests/io/h5_files.h"
#include "tests/io/plain_file.h"

namespace lockstep {

inline std::string python_output(const std::string& code) {
  const ScratchFolder folder;
  save_text(folder.file("code.py"), code);
  FILE* pipe = ::popen(("/usr/bin/python3 '" + folder.file("code.py") + "' 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot start /usr/bin/python3");
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  if (::pclose(pipe) != 0) throw std::runtime_error("python failed: " + output);
  return output;
}

}  // namespace lockstep
