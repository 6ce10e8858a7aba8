// ChunkedRows: rows of a chunked dataset past the HDF5 library. Rows of one call that share chunks
// are served from one unpacking of each; chunks of several rows are kept a while for the next call,
// since reading in order comes back to them. Of unfiltered chunks the rows alone are read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "io/dataset/chunk_cache.h"
#include "io/dataset/element_conversion.h"
#include "io/hdf5/chunk_store.h"

namespace lockstep {

class ChunkedRows {
 public:
  // Keeps up to `cache_bytes` of unpacked chunks, and always room for those of one row: reading in
  // order needs them.
  ChunkedRows(hdf5::ChunkStore store, std::size_t element_bytes_out,
              std::size_t cache_bytes = kChunkCacheBytes);

  // The given rows, in the given order, each element converted; from any thread.
  void read(std::span<const std::int64_t> rows, ElementConversion convert, std::byte* out) const;

  const hdf5::ChunkStore& store() const { return store_; }
  // Rows that are unpacked together; 1 where they are not packed.
  std::int64_t band_rows() const {
    return store_.filtered() ? static_cast<std::int64_t>(band_rows_) : 1;
  }
  // Chunks unpacked since this was made: what reading cost.
  std::int64_t chunks_unpacked() const { return unpacked_; }
  // Bytes that the chunks kept may come to; 0 where none are kept.
  std::size_t cache_bytes() const;
  // Bytes unpacked for each byte used when every call reads `rows` rows at random. 1 where only
  // the rows themselves are read, or where the cache holds all chunks.
  double amplification(std::int64_t rows) const;

 private:
  // Rows of one call, ascending, with their places in the result.
  struct Wanted {
    std::int64_t row;
    std::size_t place;
  };
  struct Tile;  // the chunks at one place in the rows
  struct Buffers;

  std::size_t all_bytes() const;  // of all chunks, unpacked
  std::vector<Wanted> in_order(std::span<const std::int64_t> rows) const;
  void read_filtered(std::span<const Wanted> rows, const Tile& tile, ElementConversion convert,
                     Buffers& buffers, std::byte* out) const;
  void read_plain(std::span<const Wanted> rows, const Tile& tile, ElementConversion convert,
                  Buffers& buffers, std::byte* out) const;

  hdf5::ChunkStore store_;
  const std::size_t element_in_, element_out_;
  std::size_t row_elements_ = 1;       // of the dataset
  std::size_t slab_bytes_ = 0;         // of one row in a chunk
  std::size_t tiles_ = 1;              // chunks that make whole rows
  std::size_t band_rows_ = 1;          // rows of a chunk
  std::unique_ptr<ChunkCache> cache_;  // null where a chunk is of one row
  mutable std::atomic<std::int64_t> unpacked_ = 0;
};

}  // namespace lockstep
