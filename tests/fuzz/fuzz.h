// What the fuzz targets share. A target is one file that defines LLVMFuzzerTestOneInput: libFuzzer
// calls it with bytes of its own making, replay.cc with those of a corpus. A reader may read an
// input or refuse it with an Error; anything else (a crash, another exception, a hang, memory
// without bound) is a finding, whose bytes join the corpus once it is mended.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "kernels/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace lockstep::fuzz {

[[noreturn]] inline void finding(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::abort();
}

// A file that only memory holds, under a path that any reader can open.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::uint8_t> bytes)
      : descriptor_(::memfd_create("input", MFD_CLOEXEC)),
        path_("/proc/self/fd/" + std::to_string(descriptor_)) {
    if (descriptor_ < 0) finding("no memory file");
    while (!bytes.empty()) {
      const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) finding("no memory file");
      bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

// Whether `read` came to its end; a refusal must say something.
template <typename Read>
bool accepted(Read&& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    if (*error.what() == '\0') finding("an Error without a message");
    return false;
  }
}

}  // namespace lockstep::fuzz
