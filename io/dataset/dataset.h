// One split of a dataset, of one file or of several: x (N, ...), y and an optional weight (N), in
// HDF5. Metadata come from the HDF5 library; rows of contiguous datasets are read by pread at the
// dataset's place in the file, without the library's lock; other layouts through H5Dread. Foreign
// files are first-class: paths, axis order and any integer or float type of either byte order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/dataset/chunk_cache.h"
#include "io/dataset/file_names.h"
#include "kernels/core/tensor.h"

namespace lockstep {

// What target values may be: a loss of probabilities says something of those alone.
enum class TargetRule {
  kAny,
  kProbabilities,  // each in [0, 1]
  kDistributions,  // those of a row also add up to 1
};

// Where the data lie; the config's [data] table.
struct DataSource {
  FileNames file;     // several files are read as one dataset: see joined_dataset.h
  std::string group;  // "/train"; x, y, weight are looked for inside it
  std::string x = "x", y = "y", weight = "weight";      // or absolute paths of foreign files
  enum class Axes { kNhwc, kNchw } axes = Axes::kNhwc;  // of 4-dimensional x (3-dimensional: N,H,W)
  // Class labels must be below it; 0: below the number of names that a lockstep file carries. Set
  // for a validation or test part from the training part's class_count().
  std::int64_t classes = 0;
  TargetRule targets = TargetRule::kAny;  // of float targets; rows of weight 0 may hold others
  // Unpacked chunks that are kept for later reads: of all files together, but for the chunks of one
  // row of each.
  std::size_t cache_bytes = kChunkCacheBytes;
};

enum class TargetKind { kNone, kClass, kValues };  // y int64 (N) | y float32 (N, K)

// What a lockstep file says of itself in its root attributes; foreign files lack it.
struct DatasetInfo {
  std::string task;                  // "classification" or "regression"; "" if unknown
  std::vector<std::string> classes;  // names, by label
  std::vector<double> mean, std;     // per channel or column of the training part (uint8: of x/255)
  std::int64_t statistics_rows = 0;  // that mean and std are of; 0: unknown
  std::string source;
  std::string checksum;  // of the contents, independent of chunking
  std::string encoding;  // how x was made of a table's columns: CsvEncoding's JSON; or empty
};

// What becomes of the types in the file:
//   x       uint8 stays; (u)int32 and (u)int64 become int64, as token ids need; other integers and
//           every float become float32. (N) is read as (N, 1), uint8 (N, H, W) as (N, H, W, 1).
//   y       integers (N) and (N, 1) are class labels; an integer matrix whose first rows hold a
//           single 1 each and else 0 is one-hot, hence labels too; other matrices and all floats
//           are values. In a file whose task is "regression" everything is values.
//   weight  float32, finite and not negative; (N) or (N, 1). 0 leaves a row out of the loss.
// y and weight may be missing under their usual names, not under names that somebody chose.
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
  // Of kClass: as many as have names or one-hot columns, else the largest label + 1 (reads all y).
  virtual std::int64_t class_count() const = 0;
  virtual bool has_weight() const = 0;
  // "contiguous, read by pread" or why not: the one line that the log prints.
  virtual std::string access() const = 0;
  // Where reading `rows` rows at random unpacks chunks over and over: how much more than it uses,
  // and the command that cures it. "" where it does not.
  virtual std::string shuffle_warning(std::int64_t /*rows*/) const { return ""; }
  // Whether rows are unpacked together: those of one chunk_of(), once for each call of read().
  // Chunks ascend with their rows.
  virtual bool packed() const { return false; }
  virtual std::int64_t chunk_of(std::int64_t row) const { return row; }
  // Bytes that unpacked chunks kept for later reads may come to, in each rank.
  virtual std::size_t cache_bytes() const { return 0; }
  // Bytes of one row of x, y and weight in memory after conversion.
  virtual std::size_t row_bytes() const = 0;

  // Copies the given rows, in the given order, into host tensors whose first axis is rows.size().
  // Thread-safe. y is int64 (n) or float32 (n, K); weight float32 (n), undefined if there is none.
  // Checks labels and NaN: the error names the dataset, the row and the column.
  virtual void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
                    Tensor& weight) const = 0;

  // info().checksum where the file carries it, else contents_checksum().
  virtual std::string checksum() const = 0;
};

// Of type, shape and values of x, y and weight after conversion, read in full: the same for any
// chunking, compression and byte order in the file.
std::string contents_checksum(const Dataset& dataset);
// Of all of a lockstep file's parts (/train, /validation, /test); what its root attribute holds.
std::string file_checksum(const std::string& file);

// Host memory owned by the tensor itself, without a Device (device() is null).
Tensor host_tensor(const Shape& shape, DType type);

// Rows of a dataset held in memory, in one copy that all ranks of a node may share: `memory` is
// laid out by resident_bytes and filled once by fill_resident; read() is then a plain copy.
std::size_t resident_bytes(const Dataset& dataset);
void fill_resident(const Dataset& dataset, std::span<std::byte> memory, int threads);
std::unique_ptr<Dataset> resident_dataset(const Dataset& dataset, std::span<const std::byte> memory,
                                          std::shared_ptr<void> keep_alive);

}  // namespace lockstep
