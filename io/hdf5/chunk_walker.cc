#include "io/hdf5/chunk_walker.h"

#include <algorithm>

#include "io/hdf5/chunk_table.h"
#include "io/hdf5/saturating.h"

namespace lockstep::hdf5 {

namespace {

void check_grid(const FormatBytes& file, const ChunkGrid& grid, const LayoutMessage& layout) {
  std::vector<std::uint64_t> expected = grid.chunk;
  expected.push_back(grid.element_bytes);
  if (layout.chunk != expected)
    file.fail(fmt::format("chunks of ({}) in its data layout, of ({}) by the library",
                          fmt::join(layout.chunk, ", "), fmt::join(expected, ", ")));
}

void walk_single(const FormatBytes& file, const LayoutMessage& layout, ChunkTable& table) {
  const ChunkGrid& grid = table.grid();
  if (grid.chunks() != 1) file.fail("a single-chunk index of a dataset of several chunks");
  const std::uint64_t bytes = grid.filtered ? layout.single_bytes : grid.chunk_bytes();
  if (bytes > UINT32_MAX) file.fail(fmt::format("a chunk of {} bytes cannot be", bytes));
  const std::vector<std::uint64_t> first(grid.rank(), 0);
  table.add(first, {layout.address, static_cast<std::uint32_t>(bytes), layout.single_mask});
}

// Chunks one after another, all there from the start.
void walk_implicit(const FormatBytes& file, const LayoutMessage& layout, ChunkTable& table) {
  const ChunkGrid& grid = table.grid();
  if (grid.filtered) file.fail("an implicit chunk index of a dataset with filters");
  ArrayOrder order(file, grid);
  const std::uint64_t bytes = grid.chunk_bytes();
  if (!file.holds(layout.address, saturating_product(order.elements(), bytes)))
    file.fail("its chunks reach past the end of the file; it is truncated or damaged");
  for (std::uint64_t i = 0; i < order.elements(); ++i)
    table.add(order.coordinates(i),
              {layout.address + i * bytes, static_cast<std::uint32_t>(bytes)});
}

}  // namespace

std::uint64_t ChunkGrid::chunks() const {
  std::uint64_t product = 1;
  for (std::size_t axis = 0; axis < rank(); ++axis)
    product = saturating_product(product, chunks_along(axis));
  return product;
}

std::uint64_t ChunkGrid::chunk_bytes() const {
  std::uint64_t product = element_bytes;
  for (std::uint64_t elements : chunk) product = saturating_product(product, elements);
  return product;
}

std::vector<Chunk> walk_chunks(const ByteSource& source, const std::string& where,
                               std::uint64_t object_header, const ChunkGrid& grid) {
  LOCKSTEP_CHECK(grid.rank() > 0 && grid.chunk.size() == grid.rank() &&
                     grid.most_sizes.size() == grid.rank() && grid.element_bytes > 0 &&
                     std::count(grid.chunk.begin(), grid.chunk.end(), 0U) == 0,
                 "a grid of {} axes with chunks of {}", grid.rank(), grid.chunk.size());
  FormatBytes file(source, where);
  if (grid.chunks() > ChunkGrid::kMostChunks)
    file.fail(fmt::format("{} chunks are too many", grid.chunks()));
  if (grid.chunk_bytes() > UINT32_MAX) file.fail("a chunk is larger than 4 GiB");
  const LayoutMessage layout = read_layout_message(file, object_header);
  check_grid(file, grid, layout);
  ChunkTable table(file, grid);
  if (layout.address == Chunk::kUnwritten) return table.take();
  switch (layout.kind) {
    case ChunkIndexKind::kBtree1:
      walk_btree1(file, layout.address, table);
      break;
    case ChunkIndexKind::kBtree2:
      walk_btree2(file, layout.address, table);
      break;
    case ChunkIndexKind::kSingle:
      walk_single(file, layout, table);
      break;
    case ChunkIndexKind::kImplicit:
      walk_implicit(file, layout, table);
      break;
    case ChunkIndexKind::kFixedArray:
      walk_fixed_array(file, layout.address, table);
      break;
    case ChunkIndexKind::kExtensibleArray:
      walk_extensible_array(file, layout.address, table);
      break;
  }
  return table.take();
}

}  // namespace lockstep::hdf5
