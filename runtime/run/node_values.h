// NodeValues: the weights of a team that computes with them and never changes them: one copy a
// node, or one in the memory of every device that the host does not reach.
#pragma once

#include <functional>

#include "runtime/step/team.h"

namespace lockstep {

class NodeValues {
 public:
  // A collective. Where that is this rank's task, fill(values) writes them, also through the team's
  // params(): meanwhile they lie in the host's memory. An Error of one rank is thrown on all.
  NodeValues(Team& team, const std::function<void(float* values)>& fill);

 private:
  NodeMemory host_;
  Tensor device_;
};

}  // namespace lockstep
