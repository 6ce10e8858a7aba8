#include "io/dataset/chunked_rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/core/error.h"

namespace lockstep {

// Where the elements of one chunk of a row lie in the row: runs that are contiguous in both.
struct ChunkedRows::Tile {
  struct Run {
    std::size_t in_slab, in_row, count;  // elements
  };
  std::size_t number = 0;
  std::vector<Run> runs;

  Tile(const hdf5::ChunkGrid& grid, std::size_t tile) : number(tile) {
    const std::size_t rank = grid.rank();
    std::vector<std::size_t> begin(rank, 0), count(rank, 1), slab(rank, 1), row(rank, 1);
    for (std::size_t axis = rank; axis-- > 1;) {
      begin[axis] = tile % grid.chunks_along(axis) * grid.chunk[axis];
      tile /= grid.chunks_along(axis);
      count[axis] = std::min<std::size_t>(grid.chunk[axis], grid.sizes[axis] - begin[axis]);
      slab[axis] = axis + 1 == rank ? 1 : slab[axis + 1] * grid.chunk[axis + 1];
      row[axis] = axis + 1 == rank ? 1 : row[axis + 1] * grid.sizes[axis + 1];
    }
    // Trailing axes that the chunk fills as the dataset does make one run.
    std::size_t inner = rank;
    std::size_t run = 1;
    while (inner > 1) {
      --inner;
      run *= count[inner];
      if (count[inner] != grid.chunk[inner] || count[inner] != grid.sizes[inner]) break;
    }
    std::size_t origin = 0;
    for (std::size_t axis = 1; axis < rank; ++axis) origin += begin[axis] * row[axis];
    std::vector<std::size_t> index(rank, 0);
    for (;;) {
      Run next{0, origin, run};
      for (std::size_t axis = 1; axis < inner; ++axis) {
        next.in_slab += index[axis] * slab[axis];
        next.in_row += index[axis] * row[axis];
      }
      runs.push_back(next);
      std::size_t axis = inner;
      while (axis > 1 && ++index[axis - 1] == count[axis - 1]) index[--axis] = 0;
      if (axis <= 1) return;
    }
  }
};

struct ChunkedRows::Buffers {
  hdf5::FilterScratch scratch;
  std::vector<std::byte> chunk, slab;
};

ChunkedRows::ChunkedRows(hdf5::ChunkStore store, std::size_t element_bytes_out,
                         std::size_t cache_bytes)
    : store_(std::move(store)),
      element_in_(store_.grid().element_bytes),
      element_out_(element_bytes_out),
      band_rows_(store_.grid().chunk[0]) {
  const hdf5::ChunkGrid& grid = store_.grid();
  slab_bytes_ = store_.chunk_bytes() / band_rows_;
  for (std::size_t axis = 1; axis < grid.rank(); ++axis) {
    row_elements_ *= grid.sizes[axis];
    tiles_ *= grid.chunks_along(axis);
  }
  if (store_.filtered() && band_rows_ > 1)
    cache_ = std::make_unique<ChunkCache>(store_.chunk_bytes(),
                                          std::max(cache_bytes, tiles_ * store_.chunk_bytes()));
}

std::size_t ChunkedRows::all_bytes() const {
  const auto rows = static_cast<std::size_t>(store_.grid().sizes[0]);
  return (rows + band_rows_ - 1) / band_rows_ * tiles_ * store_.chunk_bytes();
}

std::size_t ChunkedRows::cache_bytes() const {
  return cache_ ? std::min(cache_->most_bytes(), all_bytes()) : 0;
}

std::vector<ChunkedRows::Wanted> ChunkedRows::in_order(std::span<const std::int64_t> rows) const {
  std::vector<Wanted> wanted(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) wanted[i] = {rows[i], i};
  const auto by_row = [](const Wanted& a, const Wanted& b) { return a.row < b.row; };
  if (!std::is_sorted(wanted.begin(), wanted.end(), by_row))
    std::sort(wanted.begin(), wanted.end(), by_row);
  return wanted;
}

void ChunkedRows::read(std::span<const std::int64_t> rows, ElementConversion convert,
                       std::byte* out) const {
  const std::vector<Wanted> wanted = in_order(rows);
  const auto band_of = [&](const Wanted& w) {
    return static_cast<std::size_t>(w.row) / band_rows_;
  };
  Buffers buffers;
  for (std::size_t number = 0; number < tiles_; ++number) {
    const Tile tile(store_.grid(), number);
    for (auto first = wanted.begin(); first != wanted.end();) {
      const auto last = std::find_if(
          first, wanted.end(), [&](const Wanted& w) { return band_of(w) != band_of(*first); });
      if (store_.filtered())
        read_filtered({first, last}, tile, convert, buffers, out);
      else
        read_plain({first, last}, tile, convert, buffers, out);
      first = last;
    }
  }
}

void ChunkedRows::read_filtered(std::span<const Wanted> rows, const Tile& tile,
                                ElementConversion convert, Buffers& buffers, std::byte* out) const {
  const std::size_t index =
      static_cast<std::size_t>(rows.front().row) / band_rows_ * tiles_ + tile.number;
  const auto unpack = [&](std::span<std::byte> to) {
    store_.unpack(index, buffers.scratch, to);
    ++unpacked_;
  };
  ChunkCache::Bytes cached;
  const std::byte* chunk = nullptr;
  if (cache_) {
    cached = cache_->get(index, unpack);
    chunk = cached->data();
  } else {
    buffers.chunk.resize(store_.chunk_bytes());
    unpack(buffers.chunk);
    chunk = buffers.chunk.data();
  }
  for (const Wanted& wanted : rows) {
    const std::byte* slab = chunk + static_cast<std::size_t>(wanted.row) % band_rows_ * slab_bytes_;
    std::byte* row = out + wanted.place * row_elements_ * element_out_;
    for (const Tile::Run& run : tile.runs)
      convert(slab + run.in_slab * element_in_, row + run.in_row * element_out_, run.count);
  }
}

void ChunkedRows::read_plain(std::span<const Wanted> rows, const Tile& tile,
                             ElementConversion convert, Buffers& buffers, std::byte* out) const {
  const std::size_t index =
      static_cast<std::size_t>(rows.front().row) / band_rows_ * tiles_ + tile.number;
  buffers.slab.resize(slab_bytes_);
  for (const Wanted& wanted : rows) {
    store_.read_piece(index, static_cast<std::size_t>(wanted.row) % band_rows_ * slab_bytes_,
                      buffers.slab);
    std::byte* row = out + wanted.place * row_elements_ * element_out_;
    for (const Tile::Run& run : tile.runs)
      convert(buffers.slab.data() + run.in_slab * element_in_, row + run.in_row * element_out_,
              run.count);
  }
}

// A chunk is met unless all rows miss it, each with the chance 1 - (rows of it) / (all rows).
double ChunkedRows::amplification(std::int64_t rows) const {
  if (!cache_) return 1;
  const auto all = static_cast<double>(store_.grid().sizes[0]);
  const auto band = std::min(static_cast<double>(band_rows_), all);
  const double bands = std::ceil(all / band);
  if (all_bytes() <= cache_->most_bytes()) return 1;
  const double met = bands * (1 - std::pow(1 - band / all, static_cast<double>(rows)));
  return std::max(1.0, met * band / static_cast<double>(rows));
}

}  // namespace lockstep
