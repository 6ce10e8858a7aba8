// RowReader: rows of one HDF5 dataset as one of our types, from any thread. Contiguous and chunked
// elements of standard types are read by pread, unpacked and converted here; others by the HDF5
// library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "io/base/file.h"
#include "io/dataset/chunked_rows.h"
#include "io/dataset/element_conversion.h"
#include "io/hdf5/hdf5.h"
#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"

namespace lockstep {

class RowReader {
 public:
  // Sizes of one stored image (C, H, W); rows come out as (H, W, C).
  struct Planes {
    std::int64_t channels = 0, pixels = 0;
  };

  // `file` is the one that the dataset was found in; cache_bytes as of ChunkedRows.
  RowReader(hdf5::Dataset dataset, std::shared_ptr<const FileReader> file, DType type,
            std::size_t cache_bytes = kChunkCacheBytes);
  RowReader(hdf5::Dataset dataset, std::shared_ptr<const FileReader> file, DType type,
            Planes planes, std::size_t cache_bytes = kChunkCacheBytes);

  const hdf5::Dataset& dataset() const { return dataset_; }
  const std::string& where() const { return where_; }  // the start of a message about it
  DType type() const { return type_; }
  std::size_t row_bytes() const { return row_bytes_; }
  // "contiguous, read by pread", "chunked (64, 28, 28), deflate, unpacked by own threads", or
  // "chunked (64, 28, 28), lzf, read through the HDF5 library".
  std::string access() const;
  // Null where the dataset is not chunked, or only the library can read it.
  const ChunkedRows* chunks() const { return chunks_.get(); }

  // From now on a dataset of no more than kMostKept bytes is read once, at the first read, and
  // kept: for labels and weights, of which every row would cost a call of the system.
  void keep_if_small();

  // The given rows, in the given order; repetitions are allowed. `out` holds rows.size() rows.
  void read(std::span<const std::int64_t> rows, std::byte* out) const;

 private:
  static constexpr std::size_t kMostKept = std::size_t{32} << 20;
  struct Kept {
    std::once_flag once;
    std::unique_ptr<std::byte[]> rows;
  };

  void read_kept(std::span<const std::int64_t> rows, std::byte* out) const;
  bool contiguous() const { return dataset_.offset().has_value() && convert_ != nullptr; }
  void read_stored(std::span<const std::int64_t> rows, std::byte* out) const;
  void read_contiguous(std::span<const std::int64_t> rows, std::byte* out) const;
  void read_by_library(std::span<const std::int64_t> ascending, std::byte* out) const;
  void read_sorted(std::span<const std::int64_t> rows, std::byte* out) const;

  hdf5::Dataset dataset_;
  std::shared_ptr<const FileReader> file_;
  DType type_;
  Planes planes_;
  std::size_t row_elements_, row_bytes_;
  std::string where_;
  ElementConversion convert_;         // from the bytes of the file; null: the library must
  ElementConversion convert_native_;  // the same in the machine's byte order
  std::shared_ptr<const ChunkedRows> chunks_;
  std::shared_ptr<Kept> kept_;  // null: every read goes to the file
};

}  // namespace lockstep
