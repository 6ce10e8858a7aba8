// What a scaling run measured, and the model that goes through it: a step on n ranks takes the time
// of its arithmetic and that of a ring's exchange (the alpha-beta model, as in Thakur et al. 2005),
//
//   t(n) = t_ideal(n) + alpha · 2(n-1) + beta · bytes · 2(n-1)/n
//
// where t_ideal is t(1) in weak scaling (n times the batch) and t(1)/n in strong (one batch).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

struct ScalingPoint {
  bool weak = false;
  int ranks = 1;
  std::int64_t batch = 0, shards = 0;
  double step_ms = 0, samples_per_second = 0;
  double efficiency = 0;      // of n times the rate of one rank
  bool measured = true;       // false: the model's projection
  bool taking_turns = false;  // more workers than cores: not what more machines would do
};

struct ScalingModel {
  double alpha_us = 0;              // each message
  double gigabytes_per_second = 0;  // 1/beta; 0: the fit found no cost by bytes
  double residual_ms = 0;           // root mean square of what the model leaves
  int points = 0;                   // through which it goes
};

// Least squares over the measured points of more than one rank, neither term below 0. `bytes`: of
// the gradient. Points of one rank of both kinds must be among them.
ScalingModel fit_scaling(const std::vector<ScalingPoint>& points, double bytes);
double model_step_ms(const ScalingModel& model, double bytes, bool weak, int ranks,
                     double one_rank_ms);

void set_efficiency(std::vector<ScalingPoint>& points);
const ScalingPoint& one_rank(const std::vector<ScalingPoint>& points, bool weak);

// Two panels, rates and efficiency. Projections are dashed, hollow, and said to be projections.
std::string scaling_svg(const std::vector<ScalingPoint>& points, const ScalingModel& model,
                        const std::string& title);

}  // namespace lockstep
