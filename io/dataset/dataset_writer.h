// Writes a dataset file: groups /train, /validation, /test (those that have rows) with x, y and
// optionally weight, in one piece each so that loaders may read them by pread, and root attributes
// that say what they are. Equal contents give equal bytes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "io/dataset/dataset.h"

namespace lockstep {

struct SplitData {
  Tensor x, y, weight;  // host tensors; weight undefined if there is none

  std::int64_t rows() const { return x.defined() ? x.rows() : 0; }
};

struct DatasetContents {
  SplitData train, validation, test;
  DatasetInfo info;                  // mean and std are computed if empty, checksum always
  std::vector<std::string> columns;  // names of x's columns; empty for images
  std::vector<std::string> targets;  // names of y's columns
  std::string encoding;              // JSON: how x was made of the source's columns; or empty
  std::vector<double> truth;         // of synthetic data: the numbers a fit should find; or empty
};

// Of x over all axes but the last (channels or columns), in float64; uint8 counts as x/255; a
// constant channel has a standard deviation of 1 (the biased estimate otherwise).
struct ChannelStatistics {
  std::vector<double> mean, std;
};
ChannelStatistics channel_statistics(const Tensor& x);

// Written under a temporary name, read back and compared, then renamed. An existing file is an
// error unless `force` is set.
void write_dataset(const std::string& path, bool force, DatasetContents contents);

// Throws if `path` cannot become a new file: exists without force, or its folder is not there.
void check_output(const std::string& path, bool force);

}  // namespace lockstep
