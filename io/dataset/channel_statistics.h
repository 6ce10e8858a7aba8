// Mean and standard deviation of each channel (or column) of x, in two passes over the rows: what
// the loader normalises with. Sums are of float64 in file order, so that the result depends on the
// values alone and not on how they are cut into blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/tensor.h"

namespace lockstep {

// Over all axes but the last; uint8 counts as x/255; a constant channel has a standard deviation of
// 1 (the biased estimate otherwise).
class ChannelStatistics {
 public:
  explicit ChannelStatistics(std::int64_t channels);

  void add_to_mean(const Tensor& x);      // every row once
  void add_to_variance(const Tensor& x);  // then every row again
  std::vector<double> mean() const;
  std::vector<double> std() const;

 private:
  template <typename T>
  void sum(std::span<const T> values);
  template <typename T>
  void sum_squares(std::span<const T> values);

  std::vector<double> mean_, variance_;  // sums, until they are asked for
  std::vector<double> first_;
  std::vector<bool> constant_;
  std::int64_t count_ = 0;  // values a channel
  double scale_ = 1;
};

}  // namespace lockstep
