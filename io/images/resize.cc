// Weights in double as Pillow computes them, then integers; the passes are in resize_rows.cc.
#include "io/images/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "io/images/resize_rows.h"
#include "kernels/core/error.h"

namespace lockstep {
namespace {

// Where one place of the result looks.
struct Reach {
  double centre = 0, scale = 1;  // scale: of the filter, at least 1
  std::int64_t begin = 0, end = 0;
};

Reach reach_of(std::int64_t place, std::int64_t from, std::int64_t to) {
  Reach reach;
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  reach.scale = std::max(scale, 1.0);
  reach.centre = (static_cast<double>(place) + 0.5) * scale;
  reach.begin =
      std::max<std::int64_t>(0, static_cast<std::int64_t>(reach.centre - reach.scale + 0.5));
  reach.end = std::min(from, static_cast<std::int64_t>(reach.centre + reach.scale + 0.5));
  return reach;
}

// Python's round(): halves go to the even neighbour.
std::int64_t rounded_half(std::int64_t twice) {
  const std::int64_t below = twice / 2;
  return twice % 2 != 0 && below % 2 != 0 ? below + 1 : below;
}

}  // namespace

ResizeLoops fastest_resize_loops() {
#ifdef LOCKSTEP_X86_64
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni"))
    return ResizeLoops::kVnni;
  if (__builtin_cpu_supports("avx2")) return ResizeLoops::kAvx2;
#endif
  return ResizeLoops::kPlain;
}

ResizePlan ResizePlan::shorter_side_and_centre(std::int64_t height, std::int64_t width,
                                               std::int64_t shorter, std::int64_t size) {
  if (size < 1 || size > shorter)
    throw Error("a centre of {} x {} pixels cannot be cut out of a shorter side of {}", size, size,
                shorter);
  const double ratio = static_cast<double>(shorter);
  ResizePlan plan;
  if (width <= height) {
    plan.width = shorter;
    plan.height =
        static_cast<std::int64_t>(ratio * static_cast<double>(height) / static_cast<double>(width));
  } else {
    plan.height = shorter;
    plan.width =
        static_cast<std::int64_t>(ratio * static_cast<double>(width) / static_cast<double>(height));
  }
  return centre(plan.height, plan.width, size, size);
}

ResizePlan ResizePlan::centre(std::int64_t height, std::int64_t width, std::int64_t part_height,
                              std::int64_t part_width) {
  return {
      height,      width,     rounded_half(height - part_height), rounded_half(width - part_width),
      part_height, part_width};
}

TriangleWeights triangle_weights(std::int64_t place, std::int64_t from, std::int64_t to) {
  const Reach reach = reach_of(place, from, to);
  TriangleWeights result{reach.begin, {}};
  double sum = 0;
  for (std::int64_t near = reach.begin; near < reach.end; ++near) {
    const double x = (static_cast<double>(near) - reach.centre + 0.5) * (1.0 / reach.scale);
    result.weights.push_back(std::max(0.0, 1.0 - std::abs(x)));
    sum += result.weights.back();
  }
  if (sum != 0)
    for (double& weight : result.weights) weight /= sum;
  return result;
}

void Resizer::Axis::plan(std::int64_t from_size, std::int64_t to_size, std::int64_t to_begin,
                         std::int64_t to_count) {
  if (from == from_size && to == to_size && begin == to_begin && count == to_count) return;
  from = from_size;
  to = to_size;
  begin = to_begin;
  count = to_count;
  taps = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    const Reach reach = reach_of(begin + i, from, to);
    taps = std::max(taps, reach.end - reach.begin);
  }
  first.assign(static_cast<std::size_t>(count), 0);
  weights.assign(static_cast<std::size_t>(count * taps), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    const TriangleWeights exact = triangle_weights(begin + i, from, to);
    // Every place has the same number of taps; near the far edge they start earlier, with zeros.
    const std::int64_t start = std::min(exact.begin, from - taps);
    first[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(start);
    std::int32_t* const to_weights = weights.data() + i * taps + (exact.begin - start);
    for (std::size_t t = 0; t < exact.weights.size(); ++t)
      to_weights[t] =
          static_cast<std::int32_t>(0.5 + exact.weights[t] * static_cast<double>(1 << kResizeBits));
  }
  digits.plan(after(0));
  lanes.channels = 0;
}

Places Resizer::Axis::reach() const {
  const auto [least, most] = std::minmax_element(first.begin(), first.end());
  return {*least, *most + taps};
}

Places Resizer::rows(std::int64_t height, const ResizePlan& plan) {
  down_.plan(height, plan.height, plan.top, plan.part_height);
  return down_.reach();
}

Places Resizer::columns(std::int64_t width, const ResizePlan& plan) {
  across_.plan(width, plan.width, plan.left, plan.part_width);
  return across_.reach();
}

void Resizer::resize(const ImageView& from, const ResizePlan& plan, std::uint8_t* to) {
  resize_part(from, {from.height, from.width, 0, 0}, plan, to);
}

void Resizer::resize_part(const ImageView& from, const PartOf& whole, const ResizePlan& plan,
                          std::uint8_t* to) {
  LOCKSTEP_CHECK(from.channels >= 1 && from.channels <= kMostResizeChannels && from.height > 0 &&
                     from.width > 0 && plan.part_height > 0 && plan.part_width > 0 &&
                     plan.top >= 0 && plan.left >= 0 &&
                     plan.top + plan.part_height <= plan.height &&
                     plan.left + plan.part_width <= plan.width,
                 "resize of {} x {} x {} to {} x {}", from.height, from.width, from.channels,
                 plan.height, plan.width);
  const std::int64_t row_bytes = plan.part_width * from.channels;
  const Places columns = this->columns(whole.width, plan), rows = this->rows(whole.height, plan);
  LOCKSTEP_CHECK(whole.left <= columns.begin && whole.left + from.width >= columns.end &&
                     whole.top <= rows.begin && whole.top + from.height >= rows.end,
                 "rows {} to {}, columns {} to {} of {} x {} are not there", rows.begin, rows.end,
                 columns.begin, columns.end, whole.height, whole.width);
  const ImageView needed = from.part(rows.begin - whole.top, 0, rows.end - rows.begin, from.width);
  if (whole.width == plan.width && whole.height == plan.height) {
    for (std::int64_t y = 0; y < plan.part_height; ++y)
      std::memcpy(to + y * row_bytes, needed.row(y) + (plan.left - whole.left) * from.channels,
                  static_cast<std::size_t>(row_bytes));
    return;
  }
  const std::int64_t between_bytes = row_bytes + kResizeSlack;
  between_.resize(static_cast<std::size_t>(needed.height * between_bytes));
  go_across(needed, whole.left, between_bytes);
  go_down(row_bytes, between_bytes, rows.begin, to);
}

void Resizer::go_across(const ImageView& from, std::int64_t skipped, std::int64_t to_row_bytes) {
  const ResizeTaps taps = across_.after(skipped);
#ifdef LOCKSTEP_X86_64
  if (loops_ == ResizeLoops::kVnni && across_.lanes.plan(taps, across_.digits, from.channels))
    return vnni::resize_across(from.pixels, from.row_bytes, from.height, across_.lanes.lanes.data(),
                               across_.digits.blocks, taps.count * from.channels, between_.data(),
                               to_row_bytes);
  if (loops_ != ResizeLoops::kPlain)
    return avx2::resize_across_colours(from.pixels, from.row_bytes, from.height, from.channels,
                                       taps, between_.data(), to_row_bytes);
#endif
  generic::resize_across(from.pixels, from.row_bytes, from.height, from.channels, taps,
                         between_.data(), to_row_bytes);
}

void Resizer::go_down(std::int64_t row_bytes, std::int64_t from_row_bytes, std::int64_t skipped,
                      std::uint8_t* to) {
  const ResizeTaps taps = down_.after(skipped);
#ifdef LOCKSTEP_X86_64
  if (loops_ == ResizeLoops::kVnni)
    return vnni::resize_down(between_.data(), from_row_bytes, row_bytes, taps,
                             down_.digits.digits.data(), down_.digits.blocks, to, row_bytes);
  if (loops_ == ResizeLoops::kAvx2)
    return avx2::resize_down(between_.data(), from_row_bytes, row_bytes, taps, to, row_bytes);
#endif
  generic::resize_down(between_.data(), from_row_bytes, row_bytes, taps, to, row_bytes);
}

}  // namespace lockstep
