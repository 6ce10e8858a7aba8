// The learning rate of a step: a pure function of the config and the step, in double. Only +, -, *,
// / and a cosine of our own are used, so the rate has the same bits on every processor.
#pragma once

#include <cstdint>

#include "runtime/config/config.h"

namespace lockstep {

// `step` counts from 0 over the run, or over a phase of it. With base = its lr and epoch = step /
// steps_per_epoch:
//   constant     base
//   step         base · gamma^⌊step / every⌋                      (PyTorch's StepLR)
//   multi_step   base · gamma^(milestones that are <= step)        (MultiStepLR)
//   exponential  base · gamma^epoch                                (ExponentialLR)
//   linear       base + (final_lr - base) · t / T                  (LinearLR)
//   cosine       final_lr + (base - final_lr) · (1 + cos(π t / T)) / 2   (CosineAnnealingLR)
//   one_cycle    cosine from base / div_factor up to base, then down to
//                base / div_factor / final_div_factor              (OneCycleLR, base = max_lr)
// A warm-up of W steps multiplies step s < W by (s + 1) / W. Linear, cosine and one_cycle begin
// when it ends: t = max(0, step - W), T = total_steps - W; the others count from step 0.
double learning_rate(const ScheduleConfig& schedule, double base, std::int64_t step,
                     std::int64_t steps_per_epoch, std::int64_t total_steps);

// cos(π x), 0 <= x <= 1, to within 2e-16.
double cos_pi(double x);

}  // namespace lockstep
