#include "io/inspection/principal_plane.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"

namespace lockstep {

namespace {

using Vector = std::vector<double>;
using Pair = std::array<Vector, 2>;

constexpr int kMostTurns = 500;
constexpr double kUnmoved = 1e-12;  // a direction's change, squared

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// Orthonormal, by Gram and Schmidt; what has no length left becomes zero.
void orthonormalize(Pair& v, double least) {
  const double across = dot(v[0], v[0]) > 0 ? dot(v[0], v[1]) / dot(v[0], v[0]) : 0;
  for (std::size_t i = 0; i < v[0].size(); ++i) v[1][i] -= across * v[0][i];
  for (Vector& one : v) {
    const double length = std::sqrt(dot(one, one));
    for (double& value : one) value = length > least ? value / length : 0;
  }
}

class CentredRows {
 public:
  explicit CentredRows(const Tensor& x)
      : rows_(static_cast<std::size_t>(x.rows())),
        columns_(static_cast<std::size_t>(x.shape()[1])),
        values_(x.span<float>()),
        mean_(columns_) {
    for (std::size_t i = 0; i < values_.size(); ++i) mean_[i % columns_] += values_[i];
    for (double& value : mean_) value /= static_cast<double>(rows_);
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const double offset = values_[i] - mean_[i % columns_];
      variance_ += offset * offset;
    }
  }

  std::size_t columns() const { return columns_; }
  double variance() const { return variance_; }  // times the rows

  std::array<double, 2> along(std::size_t row, const Pair& v) const {
    std::array<double, 2> place{};
    for (std::size_t c = 0; c < columns_; ++c) {
      const double offset = values_[row * columns_ + c] - mean_[c];
      place[0] += offset * v[0][c];
      place[1] += offset * v[1][c];
    }
    return place;
  }

  // Xᵀ X v of both
  Pair covariance_times(const Pair& v) const {
    Pair result{Vector(columns_), Vector(columns_)};
    for (std::size_t row = 0; row < rows_; ++row) {
      const auto [first, second] = along(row, v);
      for (std::size_t c = 0; c < columns_; ++c) {
        const double offset = values_[row * columns_ + c] - mean_[c];
        result[0][c] += offset * first;
        result[1][c] += offset * second;
      }
    }
    return result;
  }

 private:
  std::size_t rows_, columns_;
  std::span<const float> values_;
  Vector mean_;
  double variance_ = 0;
};

// Turns the pair within its plane so that each is an eigenvector of what the plane keeps of XᵀX
// (Rayleigh and Ritz), the larger one first.
void turn_to_axes(Pair& v, const Pair& image) {
  const double a = dot(v[0], image[0]), b = dot(v[0], image[1]), c = dot(v[1], image[1]);
  const double angle = 0.5 * std::atan2(2 * b, a - c);
  const double cosine = std::cos(angle), sine = std::sin(angle);
  for (std::size_t i = 0; i < v[0].size(); ++i) {
    const double first = v[0][i], second = v[1][i];
    v[0][i] = cosine * first + sine * second;
    v[1][i] = cosine * second - sine * first;
  }
}

Pair start(std::size_t columns) {
  const RandomKey key{.seed = 1};
  Pair v{Vector(columns), Vector(columns)};
  for (std::size_t c = 0; c < columns; ++c) {
    const PhiloxBlock words = key.block(c, 0);
    v[0][c] = words[0] / 4294967296.0 - 0.5;
    v[1][c] = words[1] / 4294967296.0 - 0.5;
  }
  return v;
}

}  // namespace

PrincipalPlane principal_plane(const Tensor& x) {
  LOCKSTEP_CHECK(x.shape().rank() == 2 && x.rows() > 0, "no rows of numbers: {}",
                 x.shape().to_string());
  const CentredRows rows(x);
  PrincipalPlane plane;
  if (!std::isfinite(rows.variance())) throw Error("rows with values that are not finite");
  Pair v = start(rows.columns());
  orthonormalize(v, 1e-9);
  for (int turn = 0; turn < kMostTurns; ++turn) {
    const Pair before = v;
    v = rows.covariance_times(before);
    orthonormalize(v, 1e-12 * rows.variance());
    turn_to_axes(v, rows.covariance_times(v));
    double moved = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      const double same = dot(v[i], before[i]);
      moved = std::max(moved, dot(v[i], v[i]) - same * same);
    }
    if (moved < kUnmoved) break;
  }
  for (Vector& one : v) {
    const auto largest = std::max_element(
        one.begin(), one.end(), [](double a, double b) { return std::fabs(a) < std::fabs(b); });
    if (*largest < 0)
      for (double& value : one) value = -value;
  }
  std::array<double, 2> variance{};
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    plane.places.push_back(rows.along(static_cast<std::size_t>(row), v));
    for (std::size_t i = 0; i < 2; ++i)
      variance[i] += plane.places.back()[i] * plane.places.back()[i];
  }
  for (std::size_t i = 0; i < 2; ++i)
    plane.share[i] = rows.variance() > 0 ? variance[i] / rows.variance() : 0;
  return plane;
}

}  // namespace lockstep
