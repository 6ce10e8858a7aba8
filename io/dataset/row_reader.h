// RowReader: rows of one HDF5 dataset as one of our types, from any thread. Elements that lie in
// the file in one piece and in memory's own form are read by pread, others by the HDF5 library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "io/base/file.h"
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

  RowReader(hdf5::Dataset dataset, std::shared_ptr<const FileReader> file, DType type);
  RowReader(hdf5::Dataset dataset, std::shared_ptr<const FileReader> file, DType type,
            Planes planes);

  const hdf5::Dataset& dataset() const { return dataset_; }
  const std::string& where() const { return where_; }  // the start of a message about it
  DType type() const { return type_; }
  std::size_t row_bytes() const { return row_bytes_; }
  // "contiguous, read by pread" or "chunked (64, 28, 28), gzip, read through the HDF5 library".
  std::string access() const;

  // The given rows, in the given order; repetitions are allowed. `out` holds rows.size() rows.
  void read(std::span<const std::int64_t> rows, std::byte* out) const;

 private:
  bool direct() const;
  void read_stored(std::span<const std::int64_t> rows, std::byte* out) const;
  void read_direct(std::span<const std::int64_t> rows, std::byte* out) const;
  void read_sorted(std::span<const std::int64_t> rows, std::byte* out) const;

  hdf5::Dataset dataset_;
  std::shared_ptr<const FileReader> file_;
  DType type_;
  Planes planes_;
  std::size_t row_bytes_;
  std::string where_;
};

}  // namespace lockstep
