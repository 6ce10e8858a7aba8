// ParameterLog: log.parameters, the named small parameters that every epoch's line shows with the
// gradients of the epoch's last step.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/step/trainer.h"

namespace lockstep {

// Values in the file's (PyTorch's) order.
struct ShownParameter {
  std::string name;
  Shape shape;
  std::vector<float> values;     // after the epoch
  std::vector<float> gradients;  // of its last step, as the optimizer saw them; frozen: none
};

// The line with "parameters": {name: values} and "gradients": {...}, a number where there is but
// one, else a list; the line as it is where there are no parameters.
nlohmann::ordered_json with_parameters(nlohmann::ordered_json line,
                                       const std::vector<ShownParameter>& parameters);

class ParameterLog {
 public:
  static constexpr std::int64_t kMaxElements = 64;  // of a parameter: more belong into a file

  // Throws Error for a name that is no parameter (with the nearest), for running statistics and
  // for parameters of more than kMaxElements elements.
  ParameterLog(const std::vector<std::string>& names, Team& team, Trainer& trainer);

  std::string names() const;  // all of them, for messages
  bool empty() const { return params_.empty(); }
  // A collective, after a step that kept its gradient.
  std::vector<ShownParameter> read() const;

 private:
  Team& team_;
  Trainer& trainer_;
  std::vector<const Param*> params_;
};

}  // namespace lockstep
