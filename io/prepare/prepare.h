// `lockstep prepare KIND`: from what people have (IDX, CSV, bundled data) to a dataset file. One
// options struct and one function a kind; each kind has a file of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/prepare/csv_encoding.h"
#include "io/dataset/dataset_writer.h"
#include "io/prepare/split.h"

namespace lockstep {

struct PrepareOptions {
  std::string output;
  Portion validation;           // default: none
  std::optional<Portion> test;  // default: the kind's own
  std::uint64_t seed = 0;       // of the split, and of synthetic data
  bool force = false;           // replace an existing file
};

// The 1,797 handwritten digits of UCI's optical recognition data, 8×8, (N, 8, 8, 1) uint8. The grey
// values 0 to 16 are kept as they are. `file` is the bundled launch/data/digits.csv. Without a test
// portion, a fifth of the rows is the test part.
struct DigitsOptions {
  std::string file;
};
void prepare_digits(const DigitsOptions& options, const PrepareOptions& common);

// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 + 10,000 images, four .gz files (or unpacked)
// in `folder`. The 10,000 are the test part; a validation part is taken from the 60,000.
struct FashionMnistOptions {
  std::string folder = "/usr/share/datasets/fashion-mnist";
};
void prepare_fashion_mnist(const FashionMnistOptions& options, const PrepareOptions& common);

// IDX files as MNIST's, plain or .gz. Test files are both named or neither; where they are, a test
// portion is an error.
struct IdxOptions {
  std::string images, labels;
  std::string test_images, test_labels;
  std::vector<std::string> classes;  // names by label; empty: "0", "1", ...
};
void prepare_idx(const IdxOptions& options, const PrepareOptions& common);

// A CSV file with one row a sample. Columns are named, or numbered from 0. Every column that is not
// target, weight or excluded is an input; those of text become categories.
struct CsvPrepareOptions {
  std::string file;
  CsvOptions format;
  std::vector<std::string> targets;      // one for classification, any number for regression
  std::string weight;                    // column of sample weights; empty: none
  std::vector<std::string> exclude;      // columns to leave out
  std::vector<std::string> categorical;  // inputs that are categories though they look like numbers
  CategoryCoding categories = CategoryCoding::kOneHot;
  MissingValues missing = MissingValues::kError;  // kMean: of the training part
  enum class Task { kClassification, kRegression } task = Task::kClassification;
  bool standardize = true;  // false: the recorded mean is 0 and the standard deviation 1
};
void prepare_csv(const CsvPrepareOptions& options, const PrepareOptions& common);

// What kinds share ------------------------------------------------------------------------------

// Parts as the common options ask, stratified if y are classes.
Split plan_split(const Tensor& y, const PrepareOptions& common);
// Copies the parts out of `all` and writes the file. `test`, where it has rows, is the test part as
// it stands; common.test is then an error.
void write_parts(const SplitData& all, const Split& split, const PrepareOptions& common,
                 DatasetContents contents, SplitData test = {});

}  // namespace lockstep
