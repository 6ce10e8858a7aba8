// Writes a test's input without the fsync of write_text, which thousands of files would wait for.
#pragma once

#include <fstream>
#include <string>

namespace lockstep {

inline void save_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace lockstep
