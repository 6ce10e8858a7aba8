#include "io/hdf5/chunk_table.h"

#include <algorithm>
#include <numeric>

#include "io/hdf5/saturating.h"

namespace lockstep::hdf5 {

ChunkTable::ChunkTable(const FormatBytes& file, const ChunkGrid& grid)
    : file_(file), grid_(grid), chunks_(grid.chunks()) {}

void ChunkTable::add(std::span<const std::uint64_t> coordinates, const Chunk& chunk) {
  std::uint64_t index = 0;
  for (std::size_t axis = 0; axis < grid_.rank(); ++axis) {
    const std::uint64_t along = grid_.chunks_along(axis);
    if (coordinates[axis] >= along) return;
    index = index * along + coordinates[axis];
  }
  if (chunk.address == Chunk::kUnwritten) return;
  const auto damaged = [&](const std::string& reason) {
    file_.fail(fmt::format("chunk ({}) {}; the file is truncated or damaged",
                           fmt::join(coordinates, ", "), reason));
  };
  if (!file_.holds(chunk.address, chunk.bytes))
    damaged(fmt::format("has {} bytes at address {}, past the end of the file", chunk.bytes,
                        chunk.address));
  if (!grid_.filtered && chunk.bytes != grid_.chunk_bytes())
    damaged(fmt::format("has {} bytes instead of {}", chunk.bytes, grid_.chunk_bytes()));
  if (chunks_[index].address != Chunk::kUnwritten) damaged("stands twice in the chunk index");
  chunks_[index] = chunk;
  chunks_[index].address = file_.place(chunk.address);
}

ArrayOrder::ArrayOrder(const FormatBytes& file, const ChunkGrid& grid)
    : axes_(grid.rank()), coordinates_(grid.rank()) {
  std::iota(axes_.begin(), axes_.end(), 0);
  std::stable_partition(axes_.begin(), axes_.end(), [&](std::size_t axis) {
    return grid.most_sizes[axis] == ChunkGrid::kUnlimited;
  });
  for (std::size_t axis : axes_) {
    const std::uint64_t most = grid.most_sizes[axis], chunk = grid.chunk[axis];
    const bool unlimited = most == ChunkGrid::kUnlimited;
    if (unlimited && !extents_.empty()) file.fail("two axes without a limit need a B-tree");
    extents_.push_back(unlimited ? most : most / chunk + (most % chunk != 0));
    elements_ = saturating_product(elements_, extents_.back());
    if (extents_.back() == 0) file.fail("an axis that cannot hold anything");
  }
}

std::span<const std::uint64_t> ArrayOrder::coordinates(std::uint64_t element) {
  for (std::size_t i = axes_.size(); i-- > 0;) {
    coordinates_[axes_[i]] = element % extents_[i];
    element /= extents_[i];
  }
  return coordinates_;
}

ChunkRecord::ChunkRecord(const FormatBytes& file, const ChunkGrid& grid, std::uint64_t bytes,
                         const Block& block)
    : file_(file), bytes_(bytes), plain_bytes_(grid.chunk_bytes()) {
  constexpr std::uint64_t kMaskBytes = 4;
  const std::uint64_t fixed = file.offset_bytes() + (grid.filtered ? kMaskBytes : 0);
  const bool fits = grid.filtered ? bytes > fixed && bytes <= fixed + 8 : bytes == fixed;
  if (!fits) block.fail(fmt::format("records of {} bytes cannot be", bytes));
  if (grid.filtered) size_width_ = static_cast<unsigned>(bytes - fixed);
}

Chunk ChunkRecord::read(Block& block) const {
  Chunk chunk;
  chunk.address = file_.address(block);
  chunk.bytes = static_cast<std::uint32_t>(plain_bytes_);
  if (size_width_ == 0) return chunk;
  const std::uint64_t bytes = block.number(size_width_);
  chunk.filter_mask = block.u32();
  if (chunk.address == Chunk::kUnwritten) return chunk;
  if (bytes > UINT32_MAX) block.fail(fmt::format("a chunk of {} bytes cannot be", bytes));
  chunk.bytes = static_cast<std::uint32_t>(bytes);
  return chunk;
}

}  // namespace lockstep::hdf5
