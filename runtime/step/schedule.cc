#include "runtime/step/schedule.h"

#include <algorithm>
#include <numbers>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

// By repeated squaring: exact in its order of operations, unlike the library's pow.
double integer_power(double base, std::int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result *= base;
    base *= base;
  }
  return result;
}

std::int64_t milestones_passed(const ScheduleConfig& schedule, std::int64_t step,
                               std::int64_t epoch) {
  const auto passed = [](const std::vector<std::int64_t>& milestones, std::int64_t now) {
    return std::ranges::upper_bound(milestones, now) - milestones.begin();
  };
  return schedule.milestones_epochs.empty() ? passed(schedule.milestones_steps, step)
                                            : passed(schedule.milestones_epochs, epoch);
}

// From `start` to `end` along half a cosine, `share` in [0, 1].
double cosine_between(double start, double end, double share) {
  return end + (start - end) / 2 * (1 + cos_pi(share));
}

double one_cycle(const ScheduleConfig& schedule, double base, double t, double total) {
  const double first = base / schedule.div_factor;
  const double last = first / schedule.final_div_factor;
  const double peak = schedule.pct_start * total - 1;  // in steps; below 0 there is no rise
  if (t <= peak) return peak > 0 ? cosine_between(first, base, t / peak) : base;
  return cosine_between(base, last, std::min(1.0, (t - peak) / (total - 1 - peak)));
}

}  // namespace

double cos_pi(double x) {
  // Folded to |angle| <= π/4, where Taylor's series of sine or cosine ends below 2^-53.
  const double from_half = 0.5 - x;  // cos(π x) = sin(π (1/2 - x))
  const bool use_sine = from_half >= -0.25 && from_half <= 0.25;
  const double fold = x <= 0.5 ? x : 1 - x;
  const double angle = std::numbers::pi * (use_sine ? from_half : fold);
  const double square = angle * angle;
  double sum = 0;
  for (int k = 18 + (use_sine ? 1 : 0); k >= 2; k -= 2) sum = (1 + sum) * -square / (k * (k - 1));
  if (use_sine) return angle * (1 + sum);
  return x <= 0.5 ? 1 + sum : -(1 + sum);
}

double learning_rate(const ScheduleConfig& schedule, double base, std::int64_t step,
                     std::int64_t steps_per_epoch, std::int64_t total_steps) {
  LOCKSTEP_CHECK(step >= 0 && steps_per_epoch > 0 && total_steps > 0, "step {} of {}, {} an epoch",
                 step, total_steps, steps_per_epoch);
  const std::int64_t epoch = step / steps_per_epoch;
  const std::int64_t warmup =
      std::max(schedule.warmup_steps, schedule.warmup_epochs * steps_per_epoch);
  const double t = static_cast<double>(std::max<std::int64_t>(0, step - warmup));
  const double total = static_cast<double>(std::max<std::int64_t>(1, total_steps - warmup));

  const double factor =
      step < warmup ? static_cast<double>(step + 1) / static_cast<double>(warmup) : 1.0;
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return factor * base;
    case ScheduleKind::kStep: {
      const std::int64_t times =
          schedule.every_epochs > 0 ? epoch / schedule.every_epochs : step / schedule.every_steps;
      return factor * base * integer_power(schedule.gamma, times);
    }
    case ScheduleKind::kMultiStep:
      return factor * base *
             integer_power(schedule.gamma, milestones_passed(schedule, step, epoch));
    case ScheduleKind::kExponential:
      return factor * base * integer_power(schedule.gamma, epoch);
    case ScheduleKind::kLinear:
      return factor * (base + (schedule.final_lr - base) * std::min(1.0, t / total));
    case ScheduleKind::kCosine:
      return factor * cosine_between(base, schedule.final_lr, std::min(1.0, t / total));
    case ScheduleKind::kOneCycle:
      return factor * one_cycle(schedule, base, t, total);
  }
  LOCKSTEP_CHECK(false, "schedule {}", static_cast<int>(schedule.kind));
}

}  // namespace lockstep
