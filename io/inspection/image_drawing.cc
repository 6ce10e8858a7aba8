#include "io/inspection/image_drawing.h"

#include <algorithm>
#include <cmath>

namespace lockstep {

namespace {

constexpr std::int64_t kSmallSide = 56, kLargeSide = 112;  // of an image on the sheet, at least and at most

double value_at(const Tensor& x, std::int64_t element) {
  return x.dtype() == DType::kUInt8 ? static_cast<double>(x.data<std::uint8_t>()[element])
                                    : static_cast<double>(x.data<float>()[element]);
}

}  // namespace

DrawingScale::DrawingScale(const Shape& sample) {
  const std::int64_t side = std::max(sample[0], sample[1]);
  enlarge = (kSmallSide + side - 1) / side;
  shrink = (side + kLargeSide - 1) / kLargeSide;
}

std::uint8_t GreyLevels::of(double value) const {
  return static_cast<std::uint8_t>(
      std::lround(std::clamp((value - least) / (most - least), 0.0, 1.0) * 255));
}

GreyLevels find_levels(const Tensor& x) {
  double least = value_at(x, 0), most = least;
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    least = std::min(least, value_at(x, i));
    most = std::max(most, value_at(x, i));
  }
  if (x.dtype() == DType::kUInt8) return {0, most < 128 && most > 0 ? most : 255};
  return {least, most > least ? most : least + 1};
}

void check_drawable(const Dataset& dataset, const std::string& what) {
  const Shape sample = dataset.sample_shape();
  const bool drawable = sample.rank() == 3 && (sample[2] == 1 || sample[2] == 3);
  if (drawable && dataset.x_type() != DType::kInt64) return;
  throw Error(
      "{}: samples {} of {} cannot be shown; images are (height, width, channels) with one channel "
      "or three",
      what, sample.to_string(), name_of(dataset.x_type()));
}

void draw_image(const Tensor& sheet, std::int64_t top, std::int64_t left, const Tensor& x,
                std::int64_t index, const DrawingScale& scale, const GreyLevels& levels) {
  const std::int64_t height = x.shape()[1], width = x.shape()[2], channels = x.shape()[3];
  const auto mean = [&](std::int64_t row, std::int64_t column, std::int64_t c) {
    double sum = 0;
    std::int64_t count = 0;
    for (std::int64_t h = row; h < std::min(row + scale.shrink, height); ++h)
      for (std::int64_t w = column; w < std::min(column + scale.shrink, width); ++w, ++count)
        sum += value_at(x, ((index * height + h) * width + w) * channels + c);
    return sum / static_cast<double>(count);
  };
  for (std::int64_t h = 0; h < scale.of(height); ++h)
    for (std::int64_t w = 0; w < scale.of(width); ++w)
      for (std::int64_t c = 0; c < 3; ++c)
        sheet.data<std::uint8_t>()[((top + h) * sheet.shape()[1] + left + w) * 3 + c] =
            levels.of(mean(h / scale.enlarge * scale.shrink, w / scale.enlarge * scale.shrink,
                           std::min(c, channels - 1)));
}

}  // namespace lockstep
