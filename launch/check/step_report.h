// What `check step` prints of a traced step, and the .npy files that hold it in full.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/step/step_trace.h"

namespace lockstep {

struct StepReportInput {
  const StepTrace& trace;
  // By name: parameters after the step, and, where penalties or clipping change gradients, the
  // gradients that the optimizer got (otherwise empty).
  std::map<std::string, Tensor> updated, applied;
  std::string loss_name;  // "mse"
  double lr = 0;
  std::string changes;  // of the gradients, in words
};

// Small tensors in full, row by row; of large ones range, mean, norm and the first values.
std::string step_report(const StepReportInput& input);

// input.npy, output.NAME.npy, gradient.NAME.npy, parameter.NAME.npy, parameter-gradient.NAME.npy,
// parameter-gradient-applied.NAME.npy, parameter-after.NAME.npy in `folder`, which is made.
void save_step(const StepReportInput& input, const std::string& folder);

}  // namespace lockstep
