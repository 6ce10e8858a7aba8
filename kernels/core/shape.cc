#include "kernels/core/shape.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace lockstep {

Shape::Shape(std::initializer_list<std::int64_t> sizes)
    : Shape(std::span<const std::int64_t>(sizes.begin(), sizes.size())) {}

Shape::Shape(std::span<const std::int64_t> sizes) : rank_(static_cast<int>(sizes.size())) {
  LOCKSTEP_CHECK(rank_ <= kMaxRank, "a tensor has at most {} axes, not {}", kMaxRank, rank_);
  std::copy(sizes.begin(), sizes.end(), sizes_.begin());
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (std::int64_t size : sizes()) product *= size;
  return product;
}

std::int64_t Shape::back() const {
  return rank_ == 0 ? 1 : sizes_[static_cast<std::size_t>(rank_ - 1)];
}

Shape Shape::with_rows(std::int64_t rows) const {
  LOCKSTEP_CHECK(rank_ < kMaxRank, "{} has no room for one more axis", to_string());
  Shape result;
  result.rank_ = rank_ + 1;
  result.sizes_[0] = rows;
  std::copy_n(sizes_.begin(), rank_, result.sizes_.begin() + 1);
  return result;
}

Shape Shape::without_rows() const {
  LOCKSTEP_CHECK(rank_ > 0, "a scalar has no rows");
  return Shape(sizes().subspan(1));
}

std::string Shape::to_string() const {
  return fmt::format("({})", fmt::join(sizes(), ", "));
}

}  // namespace lockstep
