#include "io/dataset/channel_statistics.h"

#include <algorithm>
#include <cmath>

namespace lockstep {

namespace {

// Calls visit with x's elements as they are.
template <typename Visit>
void visit_elements(const Tensor& x, const Visit& visit) {
  switch (x.dtype()) {
    case DType::kUInt8:
      return visit(std::span<const std::uint8_t>(x.span<std::uint8_t>()));
    case DType::kFloat32:
      return visit(std::span<const float>(x.span<float>()));
    case DType::kInt64:
      return visit(std::span<const std::int64_t>(x.span<std::int64_t>()));
    default:
      throw Error("x of a dataset is uint8, float32 or int64, not {}", name_of(x.dtype()));
  }
}

}  // namespace

ChannelStatistics::ChannelStatistics(std::int64_t channels)
    : mean_(static_cast<std::size_t>(channels)),
      variance_(mean_.size()),
      first_(mean_.size()),
      constant_(mean_.size(), true) {}

template <typename T>
void ChannelStatistics::sum(std::span<const T> values) {
  const std::size_t channels = mean_.size();
  if (count_ == 0 && !values.empty())
    for (std::size_t c = 0; c < channels; ++c) first_[c] = static_cast<double>(values[c]);
  for (std::size_t i = 0; i < values.size(); i += channels)
    for (std::size_t c = 0; c < channels; ++c) mean_[c] += static_cast<double>(values[i + c]);
  count_ += static_cast<std::int64_t>(values.size() / channels);
}

template <typename T>
void ChannelStatistics::sum_squares(std::span<const T> values) {
  const std::size_t channels = mean_.size();
  std::vector<double> mean = mean_;
  for (double& m : mean) m /= static_cast<double>(count_);
  for (std::size_t i = 0; i < values.size(); i += channels)
    for (std::size_t c = 0; c < channels; ++c) {
      const auto value = static_cast<double>(values[i + c]);
      const double difference = value - mean[c];
      variance_[c] += difference * difference;
      if (value != first_[c]) constant_[c] = false;
    }
}

void ChannelStatistics::add_to_mean(const Tensor& x) {
  scale_ = x.dtype() == DType::kUInt8 ? 1.0 / 255.0 : 1.0;
  visit_elements(x, [&](auto values) { sum(values); });
}

void ChannelStatistics::add_to_variance(const Tensor& x) {
  visit_elements(x, [&](auto values) { sum_squares(values); });
}

std::vector<double> ChannelStatistics::mean() const {
  std::vector<double> mean = mean_;
  for (double& m : mean) m = m / static_cast<double>(std::max<std::int64_t>(1, count_)) * scale_;
  return mean;
}

std::vector<double> ChannelStatistics::std() const {
  std::vector<double> std = variance_;
  for (std::size_t c = 0; c < std.size(); ++c)
    // Asked of the values: the rounding of the mean can leave a constant channel a tiny variance.
    std[c] = constant_[c] ? 1.0 : std::sqrt(variance_[c] / static_cast<double>(count_)) * scale_;
  return std;
}

}  // namespace lockstep
