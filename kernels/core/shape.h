// Sizes of a tensor's axes, outermost first; at most kMaxRank of them, kept inline.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace lockstep {

class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;  // rank 0: a scalar, one element
  Shape(std::initializer_list<std::int64_t> sizes);
  explicit Shape(std::span<const std::int64_t> sizes);

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return sizes_[static_cast<std::size_t>(axis)]; }
  std::int64_t elements() const;
  std::int64_t back() const;  // size of the last axis; 1 for a scalar
  std::span<const std::int64_t> sizes() const {
    return {sizes_.data(), static_cast<std::size_t>(rank_)};
  }
  Shape with_rows(std::int64_t rows) const;  // (a, b) -> (rows, a, b)
  Shape without_rows() const;                // (n, a, b) -> (a, b)
  std::string to_string() const;             // "(100, 28, 28, 1)"

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::int64_t, kMaxRank> sizes_{};  // unused axes stay zero, so that == may compare all
  int rank_ = 0;
};

}  // namespace lockstep
