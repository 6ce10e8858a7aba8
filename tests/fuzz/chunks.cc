// Fuzz target: the walker of HDF5's chunk indexes. An input begins with the grid and the place of
// the object header, which the library hands over in earnest (see make_corpus.py), then comes the
// file. Every chunk that is found must lie in it.
#include <algorithm>
#include <cstring>

#include "io/hdf5/chunk_walker.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace lockstep::hdf5;

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const override {
    if (offset > bytes_.size() || bytes.size() > bytes_.size() - offset)
      lockstep::fuzz::finding("a read beyond the file");
    if (!bytes.empty()) std::memcpy(bytes.data(), bytes_.data() + offset, bytes.size());
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

constexpr std::size_t kAxes = 3;
constexpr std::size_t kPrologue = 7 + 5 * kAxes;

}  // namespace

// rank, filtered, element bytes, object header (4), then of three axes: size (2), growth (1: 255
// for no limit), chunk (2).
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kPrologue) return 0;
  const auto u16 = [&](std::size_t at) {
    return static_cast<std::uint64_t>(data[at]) | static_cast<std::uint64_t>(data[at + 1]) << 8;
  };
  ChunkGrid grid;
  grid.filtered = data[1] % 2 == 1;
  grid.element_bytes = std::max<std::uint64_t>(data[2], 1);
  for (std::size_t axis = 0; axis < 1 + data[0] % kAxes; ++axis) {
    const std::size_t at = 7 + 5 * axis;
    grid.sizes.push_back(u16(at));
    grid.most_sizes.push_back(data[at + 2] == 255 ? ChunkGrid::kUnlimited
                                                  : grid.sizes.back() + data[at + 2]);
    grid.chunk.push_back(std::max<std::uint64_t>(u16(at + 3), 1));
  }
  const MemorySource file({data + kPrologue, size - kPrologue});
  lockstep::fuzz::accepted([&] {
    for (const Chunk& chunk : walk_chunks(file, "input", u16(3) | u16(5) << 16, grid))
      if (chunk.address != Chunk::kUnwritten &&
          (chunk.address > file.size() || chunk.bytes > file.size() - chunk.address))
        lockstep::fuzz::finding("a chunk beyond the file");
  });
  return 0;
}
