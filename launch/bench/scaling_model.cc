#include "launch/bench/scaling_model.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

double messages(int ranks) {
  return 2.0 * (ranks - 1);
}

double share(int ranks) {
  return 2.0 * (ranks - 1) / ranks;
}

double ideal_ms(bool weak, int ranks, double one_rank_ms) {
  return weak ? one_rank_ms : one_rank_ms / ranks;
}

}  // namespace

const ScalingPoint& one_rank(const std::vector<ScalingPoint>& points, bool weak) {
  const auto found = std::ranges::find_if(
      points, [weak](const ScalingPoint& p) { return p.weak == weak && p.ranks == 1; });
  LOCKSTEP_CHECK(found != points.end(), "no point of one rank among {}", points.size());
  return *found;
}

ScalingModel fit_scaling(const std::vector<ScalingPoint>& points, double bytes) {
  // Unknowns: alpha in ms, and beta · bytes in ms. Normal equations of two unknowns.
  double aa = 0, ab = 0, bb = 0, ay = 0, by = 0;
  ScalingModel model;
  for (const ScalingPoint& point : points) {
    if (!point.measured || point.ranks == 1) continue;
    const double a = messages(point.ranks), b = share(point.ranks);
    const double y =
        point.step_ms - ideal_ms(point.weak, point.ranks, one_rank(points, point.weak).step_ms);
    aa += a * a, ab += a * b, bb += b * b, ay += a * y, by += b * y;
    ++model.points;
  }
  if (model.points == 0) return model;
  const double determinant = aa * bb - ab * ab;
  double alpha = 0, beta = 0;
  if (determinant > 1e-9 * aa * bb) {
    alpha = (ay * bb - by * ab) / determinant;
    beta = (by * aa - ay * ab) / determinant;
  } else {  // one rank count cannot tell the two apart: all goes to the bytes
    beta = by / bb;
  }
  if (alpha < 0) alpha = 0, beta = by / bb;
  if (beta < 0) beta = 0, alpha = std::max(0.0, ay / aa);
  model.alpha_us = alpha * 1e3;
  model.gigabytes_per_second = beta > 0 ? bytes / (beta * 1e6) : 0;

  double squares = 0;
  for (const ScalingPoint& point : points) {
    if (!point.measured || point.ranks == 1) continue;
    const double ms =
        model_step_ms(model, bytes, point.weak, point.ranks, one_rank(points, point.weak).step_ms);
    squares += (point.step_ms - ms) * (point.step_ms - ms);
  }
  model.residual_ms = std::sqrt(squares / model.points);
  return model;
}

double model_step_ms(const ScalingModel& model, double bytes, bool weak, int ranks,
                     double one_rank_ms) {
  double ms = ideal_ms(weak, ranks, one_rank_ms) + model.alpha_us * 1e-3 * messages(ranks);
  if (model.gigabytes_per_second > 0)
    ms += bytes / (model.gigabytes_per_second * 1e6) * share(ranks);
  return ms;
}

void set_efficiency(std::vector<ScalingPoint>& points) {
  for (ScalingPoint& point : points)
    point.efficiency =
        point.samples_per_second / (point.ranks * one_rank(points, point.weak).samples_per_second);
}

}  // namespace lockstep
