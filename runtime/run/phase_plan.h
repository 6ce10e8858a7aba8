// PhasePlan: the phases of a config, [[training.phases]], for a network at hand: which of its
// parameters and running statistics train in each, and since when.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/config/phases.h"
#include "runtime/step/trainer.h"

namespace lockstep {

// The scope of a network's last linear layer, see models/head.h.
using HeadFinder = std::function<std::optional<std::string>(const ParamSet&)>;

struct PlannedPhase {
  Phase phase;
  std::set<std::string> frozen;  // parameters and running statistics that do not train
  std::int64_t parameters = 0;   // elements that train
  std::string layers;            // that train: "layer4, fc", or "all"
};

class PhasePlan {
 public:
  // Throws Error where a phase, or a group of the optimizer, names what the network has not.
  PhasePlan(const Config& config, const ParamSet& params, const HeadFinder& head);

  std::size_t size() const { return phases_.size(); }
  const PlannedPhase& operator[](std::size_t index) const { return phases_[index]; }
  // Of the last phase of those that began at these steps. A parameter's training begins anew in
  // each phase that follows one in which it was frozen.
  TrainingSpan span(const std::vector<std::int64_t>& starts, std::int64_t steps_per_epoch) const;
  // "phase 1 of 2: trains fc (5130 of 21289802 parameters), 1 epoch, lr 0.01, constant"
  std::string describe(std::size_t index) const;

 private:
  std::vector<PlannedPhase> phases_;
  std::int64_t parameters_ = 0;
};

}  // namespace lockstep
