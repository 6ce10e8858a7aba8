// One split of a dataset file: x (N, ...), y and an optional weight (N), in HDF5. Metadata come from
// the HDF5 library; rows of contiguous datasets are read by pread at the dataset's place in the file,
// without the library's lock; other layouts through H5Dread. Foreign files are first-class: paths,
// axis order and any integer or float type of either byte order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/tensor.h"

namespace lockstep {

// Where the data lie; the config's [data] table.
struct DataSource {
  std::string file;
  std::string group;                      // "/train"; x, y, weight are looked for inside it
  std::string x = "x", y = "y", weight = "weight";  // or absolute paths of foreign files
  enum class Axes { kNhwc, kNchw } axes = Axes::kNhwc;  // of 4-dimensional x (3-dimensional: N,H,W)
};

enum class TargetKind { kNone, kClass, kValues };  // y int64 (N) | y float32 (N, K)

// What a lockstep file says of itself in its root attributes; foreign files lack it.
struct DatasetInfo {
  std::string task;                   // "classification" or "regression"; "" if unknown
  std::vector<std::string> classes;   // names, by label
  std::vector<double> mean, std;      // per channel or column of the training part (uint8: of x/255)
  std::string source;
  std::string checksum;               // of the contents, independent of chunking
};

class Dataset {
 public:
  // Throws Error naming file and dataset: missing file, not HDF5, truncated, absent dataset (lists
  // those present), wrong rank or type, lengths that differ, zero rows.
  static std::unique_ptr<Dataset> open(const DataSource& source);
  virtual ~Dataset() = default;

  virtual const DatasetInfo& info() const = 0;
  virtual std::int64_t rows() const = 0;
  virtual Shape sample_shape() const = 0;  // of x without rows; images (H, W, C)
  virtual DType x_type() const = 0;        // uint8, float32 or int64, after conversion
  virtual TargetKind target() const = 0;
  virtual std::int64_t target_columns() const = 0;  // K of kValues; 1 for kClass
  virtual bool has_weight() const = 0;
  // "contiguous, read by pread" or why not: the one line that the log prints.
  virtual std::string access() const = 0;
  // Bytes of one row of x, y and weight in memory after conversion.
  virtual std::size_t row_bytes() const = 0;

  // Copies the given rows, in the given order, into host tensors whose first axis is rows.size().
  // Thread-safe. y is int64 (n) or float32 (n, K); weight float32 (n), undefined if there is none.
  // Checks labels and NaN: the error names the dataset, the row and the column.
  virtual void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
                    Tensor& weight) const = 0;

  // Of the contents (type, shape and values of x, y, weight after conversion), read in full unless
  // the file carries it.
  virtual std::string checksum() const = 0;
};

// Host memory owned by the tensor itself, without a Device (device() is null).
Tensor host_tensor(const Shape& shape, DType type);

// Rows of a dataset held in memory, in one copy that all ranks of a node may share: `memory` is
// laid out by resident_bytes and filled once by fill_resident; read() is then a plain copy.
std::size_t resident_bytes(const Dataset& dataset);
void fill_resident(const Dataset& dataset, std::span<std::byte> memory);
std::unique_ptr<Dataset> resident_dataset(const Dataset& dataset, std::span<const std::byte> memory,
                                          std::shared_ptr<void> keep_alive);

}  // namespace lockstep
