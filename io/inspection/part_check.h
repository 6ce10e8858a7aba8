// What `check data` finds in one part, array by array.
#pragma once

#include <algorithm>
#include <optional>
#include <span>

#include "io/hdf5/hdf5.h"
#include "io/inspection/data_check.h"

namespace lockstep {

// The arrays of one part as they stand in one file; y and weight are absent where Dataset::open
// would find none.
struct FileArrays {
  std::string file;
  bool alone;  // the part has no other file
  hdf5::Dataset x;
  std::optional<hdf5::Dataset> y, weight;

  // For messages: "/train/x", or "a.h5: /train/x" where it could be another file's.
  std::string where(const hdf5::Dataset& array) const;
};

struct PartArrays {
  std::string name;
  std::vector<FileArrays> files;
  DataSource::Axes axes;
  TargetKind target;  // as Dataset::open takes y

  const FileArrays& first() const { return files.front(); }
  // Of the rows of all files: "/train/x", or "/train/x of 3 files".
  std::string where(const hdf5::Dataset& array) const;
};
PartArrays open_arrays(const std::vector<std::string>& files, const NamedSource& part,
                       TargetKind target);

struct LabelRule {
  std::int64_t classes = 0;        // labels must be below it; 0: not known
  bool named = false;              // the file says how many; else the training part's labels
  std::vector<std::string> names;  // of the classes
  bool training = false;           // balance and absent classes are looked at
};

// How x is normalised: (x - mean) / std, of x/255 for bytes. Empty: not at all.
struct Normalization {
  std::vector<double> mean, std;
};

void check_storage(const PartArrays& part, std::vector<Finding>& findings);
// The number of classes that the labels make: the largest label + 1, or the one-hot columns.
std::int64_t check_labels(const PartArrays& part, const LabelRule& rule,
                          std::vector<Finding>& findings);
void check_weights(const PartArrays& part, std::vector<Finding>& findings);
// NaN and infinities in x and y; of the training part also constant columns and scale.
void check_values(const PartArrays& part, bool training, const Normalization& normalization,
                  std::vector<Finding>& findings);

// The command that rewrites the file so that it loads fast.
std::string repack_command(const PartArrays& part, const FileArrays& file);

// Calls visit(first_row, values) for blocks of rows as float64.
template <typename Visit>
void for_each_block(const hdf5::Dataset& dataset, const Visit& visit) {
  constexpr std::int64_t kBlockElements = std::int64_t{1} << 20;
  const std::int64_t elements = dataset.row_elements();
  const std::int64_t step =
      std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, elements));
  std::vector<double> values;
  for (std::int64_t begin = 0; begin < dataset.rows(); begin += step) {
    const std::int64_t rows = std::min(step, dataset.rows() - begin);
    values.resize(static_cast<std::size_t>(rows * elements));
    dataset.read_rows(begin, rows, DType::kFloat64, values.data());
    visit(begin, std::span<const double>(values));
  }
}

}  // namespace lockstep
