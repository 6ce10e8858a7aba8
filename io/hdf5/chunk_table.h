// What a chunk index fills: the chunks of a grid, each checked and entered once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "io/hdf5/chunk_walker.h"
#include "io/hdf5/format_bytes.h"
#include "io/hdf5/layout_message.h"

namespace lockstep::hdf5 {

class ChunkTable {
 public:
  ChunkTable(const FormatBytes& file, const ChunkGrid& grid);

  const ChunkGrid& grid() const { return grid_; }
  // The chunk at these coordinates, counted in chunks; its address as the index has it. One outside
  // the dataset's present size, left over from a larger one, is passed over.
  void add(std::span<const std::uint64_t> coordinates, const Chunk& chunk);
  std::vector<Chunk> take() { return std::move(chunks_); }

 private:
  const FormatBytes& file_;
  const ChunkGrid& grid_;
  std::vector<Chunk> chunks_;  // row-major
};

// The order in which arrays number chunks: row-major over the largest size that the dataset may
// grow to, an axis without a limit first.
class ArrayOrder {
 public:
  ArrayOrder(const FormatBytes& file, const ChunkGrid& grid);

  std::uint64_t elements() const { return elements_; }  // kUnlimited with an axis without a limit
  std::span<const std::uint64_t> coordinates(std::uint64_t element);

 private:
  std::vector<std::size_t> axes_;       // slowest first
  std::vector<std::uint64_t> extents_;  // in chunks, of axes_
  std::vector<std::uint64_t> coordinates_;
  std::uint64_t elements_ = 1;
};

// How a chunk is written in the nodes of an index: its address, and with filters its stored size
// and filter mask.
class ChunkRecord {
 public:
  // `bytes` is the size of a record, `name` and `block` are for the error where it cannot be.
  ChunkRecord(const FormatBytes& file, const ChunkGrid& grid, std::uint64_t bytes,
              const Block& block);

  std::uint64_t bytes() const { return bytes_; }
  Chunk read(Block& block) const;

 private:
  const FormatBytes& file_;
  const std::uint64_t bytes_;
  std::uint64_t plain_bytes_;  // of an unfiltered chunk
  unsigned size_width_ = 0;    // 0: unfiltered
};

void walk_btree1(const FormatBytes& file, std::uint64_t address, ChunkTable& table);
void walk_btree2(const FormatBytes& file, std::uint64_t address, ChunkTable& table);
void walk_fixed_array(const FormatBytes& file, std::uint64_t address, ChunkTable& table);
void walk_extensible_array(const FormatBytes& file, std::uint64_t address, ChunkTable& table);

}  // namespace lockstep::hdf5
