// Sums of doubles in one fixed order: a balanced binary tree over the places, whatever is in them.
#pragma once

#include <cstdint>
#include <span>

namespace lockstep {

inline double tree_sum(std::span<const double> values) {
  if (values.empty()) return 0.0;
  if (values.size() == 1) return values[0];
  std::size_t half = 1;  // the largest power of two below the size: aligned, as the gradient's tree
  while (half * 2 < values.size()) half *= 2;
  return tree_sum(values.first(half)) + tree_sum(values.subspan(half));
}

}  // namespace lockstep
