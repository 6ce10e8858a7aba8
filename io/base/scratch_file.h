// A file without a name for what is needed until the program ends: its bytes are gone then, however
// it ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lockstep {

class ScratchFile {
 public:
  // On the disk that `neighbour` is, or will be, on. Throws Error naming its folder.
  explicit ScratchFile(const std::string& neighbour);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  // By any number of threads, at different places.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::string folder_;
  int descriptor_ = -1;
};

}  // namespace lockstep
