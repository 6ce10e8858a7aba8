// `lockstep prepare KIND`: from what people have (IDX, CSV, bundled data) to a dataset file. One
// options struct and one function a kind; each kind has a file of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/dataset_writer.h"
#include "io/split.h"

namespace lockstep {

struct PrepareOptions {
  std::string output;
  Portion validation;           // default: none
  std::optional<Portion> test;  // default: the kind's own
  std::uint64_t seed = 0;       // of the split
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

// What kinds share ------------------------------------------------------------------------------

// Copies of the given rows of a host tensor, in the given order.
Tensor take_rows(const Tensor& from, std::span<const std::int64_t> rows);
SplitData take_rows(const SplitData& from, std::span<const std::int64_t> rows);

// Cuts `all` by the common options (stratified if y are classes) and writes. `test`, where it has
// rows, is the test part as it stands.
void split_and_write(const SplitData& all, SplitData test, const PrepareOptions& common,
                     DatasetContents contents);

}  // namespace lockstep
