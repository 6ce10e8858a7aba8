// Where every chunk of an HDF5 dataset lies in the file, read from the file's own bytes without the
// HDF5 library, whose chunk queries take a time that grows with the square of the number of chunks.
// All five chunk indexes of the format are known: version 1 and 2 B-trees, fixed and extensible
// arrays, implicit and single-chunk indexes. The bytes are not trusted: offsets, counts, sizes and
// checksums are checked, and nothing is read twice. Source: HDF5 File Format Specification 3.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace lockstep::hdf5 {

// Bytes of a file, read at any place below size().
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size() const = 0;
  virtual void read_at(std::uint64_t offset, std::span<std::byte> bytes) const = 0;
};

struct Chunk {
  static constexpr std::uint64_t kUnwritten = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t address = kUnwritten;  // from the first byte of the file
  std::uint32_t bytes = 0;             // as stored
  std::uint32_t filter_mask = 0;       // bit i: filter i of the pipeline was left out

  friend bool operator==(const Chunk&, const Chunk&) = default;
};

// How a dataset is cut into chunks.
struct ChunkGrid {
  static constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::uint64_t kMostChunks = std::uint64_t{1} << 24;

  std::vector<std::uint64_t> sizes;       // of the dataset, rows first
  std::vector<std::uint64_t> most_sizes;  // that it may grow to
  std::vector<std::uint64_t> chunk;       // elements of a chunk along each axis
  std::uint64_t element_bytes = 0;
  bool filtered = false;

  std::size_t rank() const { return sizes.size(); }
  std::uint64_t chunks_along(std::size_t axis) const {
    return sizes[axis] / chunk[axis] + (sizes[axis] % chunk[axis] != 0);
  }
  std::uint64_t chunks() const;       // kUnlimited where that overflows
  std::uint64_t chunk_bytes() const;  // unfiltered; kUnlimited where that overflows
};

// All chunks of the dataset whose object header is at `object_header` (as the library gives it:
// from the superblock on), row-major over the grid. `where` begins every error: "a.h5: dataset
// '/x'".
std::vector<Chunk> walk_chunks(const ByteSource& source, const std::string& where,
                               std::uint64_t object_header, const ChunkGrid& grid);

}  // namespace lockstep::hdf5
