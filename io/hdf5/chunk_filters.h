// The filters of chunks, undone without the HDF5 library: deflate, shuffle, fletcher32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

struct libdeflate_decompressor;

namespace lockstep::hdf5 {

// A filter as a dataset's creation properties name it, in the order in which writing applied it.
struct Filter {
  int id = 0;
  std::string name;
  std::vector<unsigned> values;
};

// What a thread needs to undo filters: buffers that grow to the largest chunk, a decompressor.
class FilterScratch {
 public:
  FilterScratch() = default;
  std::vector<std::byte> stored, first, second;
  libdeflate_decompressor* decompressor();

 private:
  struct Free {
    void operator()(libdeflate_decompressor* decompressor) const;
  };
  std::unique_ptr<libdeflate_decompressor, Free> decompressor_;
};

class FilterPipeline {
 public:
  // `chunk_bytes`: of an unfiltered chunk.
  FilterPipeline(std::vector<Filter> filters, std::uint64_t chunk_bytes);

  bool empty() const { return filters_.empty(); }
  // The name of a filter that only the library can undo, if there is one.
  std::optional<std::string> unknown() const;
  // Undoes the filters whose bit in `mask` is not set; `chunk` takes chunk_bytes. Throws Error
  // beginning with where() for a wrong checksum, damaged deflate data, or a wrong size.
  using Where = std::function<std::string()>;
  void undo(std::span<const std::byte> stored, std::uint32_t mask, const Where& where,
            FilterScratch& scratch, std::span<std::byte> chunk) const;

 private:
  std::vector<Filter> filters_;
  std::uint64_t chunk_bytes_;
};

// Of 16-bit big-endian words, as the library computes it.
std::uint32_t fletcher32(std::span<const std::byte> bytes);
// `to` takes the elements of `width` bytes whose first bytes stand first in `from`, then the second
// ones and so on; bytes that make no whole element stay at the end.
void unshuffle(std::span<const std::byte> from, std::size_t width, std::span<std::byte> to);

}  // namespace lockstep::hdf5
