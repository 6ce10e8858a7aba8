// Weights in double as Pillow computes them, then integers; the passes are in resize_rows.cc.
#include "io/images/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "io/images/resize_rows.h"
#include "kernels/core/error.h"

namespace lockstep {
namespace {

struct Passes {
  ResizeAcross* across;
  ResizeDown* down;
};

Passes passes_of_this_machine() {
#ifdef LOCKSTEP_X86_64
  if (__builtin_cpu_supports("avx2")) return {avx2::resize_across_colours, avx2::resize_down};
#endif
  return {generic::resize_across, generic::resize_down};
}

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
  plan.top = rounded_half(plan.height - size);
  plan.left = rounded_half(plan.width - size);
  plan.part_height = plan.part_width = size;
  return plan;
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
  std::vector<double> exact;
  for (std::int64_t i = 0; i < count; ++i) {
    const Reach reach = reach_of(begin + i, from, to);
    exact.clear();
    double sum = 0;
    for (std::int64_t place = reach.begin; place < reach.end; ++place) {
      const double x = (static_cast<double>(place) - reach.centre + 0.5) * (1.0 / reach.scale);
      exact.push_back(std::max(0.0, 1.0 - std::abs(x)));
      sum += exact.back();
    }
    // Every place has the same number of taps; near the far edge they start earlier, with zeros.
    const std::int64_t start = std::min(reach.begin, from - taps);
    first[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(start);
    std::int32_t* const to_weights = weights.data() + i * taps + (reach.begin - start);
    for (std::size_t t = 0; t < exact.size(); ++t)
      to_weights[t] = static_cast<std::int32_t>(0.5 + (sum != 0 ? exact[t] / sum : exact[t]) *
                                                          static_cast<double>(1 << kResizeBits));
  }
}

Places Resizer::Axis::reach() const {
  const auto [least, most] = std::minmax_element(first.begin(), first.end());
  return {*least, *most + taps};
}

Places Resizer::columns(std::int64_t width, const ResizePlan& plan) {
  across_.plan(width, plan.width, plan.left, plan.part_width);
  return across_.reach();
}

void Resizer::resize(const ImageView& from, const ResizePlan& plan, std::uint8_t* to) {
  resize_columns(from, 0, from.width, plan, to);
}

void Resizer::resize_columns(const ImageView& from, std::int64_t left, std::int64_t width,
                             const ResizePlan& plan, std::uint8_t* to) {
  LOCKSTEP_CHECK(from.channels >= 1 && from.channels <= 4 && from.height > 0 && from.width > 0 &&
                     plan.part_height > 0 && plan.part_width > 0 && plan.top >= 0 &&
                     plan.left >= 0 && plan.top + plan.part_height <= plan.height &&
                     plan.left + plan.part_width <= plan.width,
                 "resize of {} x {} x {} to {} x {}", from.height, from.width, from.channels,
                 plan.height, plan.width);
  const std::int64_t row_bytes = plan.part_width * from.channels;
  if (width == plan.width && from.height == plan.height) {
    for (std::int64_t y = 0; y < plan.part_height; ++y)
      std::memcpy(to + y * row_bytes, from.row(plan.top + y) + (plan.left - left) * from.channels,
                  static_cast<std::size_t>(row_bytes));
    return;
  }
  across_.plan(width, plan.width, plan.left, plan.part_width);
  down_.plan(from.height, plan.height, plan.top, plan.part_height);
  const Places columns = across_.reach(), rows = down_.reach();
  LOCKSTEP_CHECK(left <= columns.begin && left + from.width >= columns.end,
                 "columns {} to {} of {} are not there", columns.begin, columns.end, width);
  const std::int64_t between_bytes = row_bytes + kResizeSlack;
  const std::int64_t height = rows.end - rows.begin;
  between_.resize(static_cast<std::size_t>(height * between_bytes));
  const Passes passes = passes_of_this_machine();
  passes.across(from.row(rows.begin), from.row_bytes, height, from.channels,
                {across_.first.data(), across_.weights.data(), across_.taps, across_.count, left},
                between_.data(), between_bytes);
  passes.down(between_.data(), between_bytes, row_bytes,
              {down_.first.data(), down_.weights.data(), down_.taps, down_.count, rows.begin}, to,
              row_bytes);
}

}  // namespace lockstep
