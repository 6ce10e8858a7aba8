// [[training.phases]]: what trains when, how long and how fast. A config without them has one
// phase, of everything.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/config/config.h"

namespace lockstep {

// What phases and messages call a network's last linear layer, and all of the network.
inline constexpr const char* kTrainHead = "head";
inline constexpr const char* kTrainAll = "all";

struct Phase {
  std::vector<std::string> train{kTrainAll};  // patterns, see runtime/step/name_patterns.h
  bool frozen_statistics = false;      // also batch norms that train keep their running statistics
  std::int64_t epochs = 0, steps = 0;  // one of the two is set
  double lr = 0;
  ScheduleConfig schedule;
  std::string where;  // "pets.toml:12: training.phases[0].train", for messages

  std::int64_t length(std::int64_t steps_per_epoch) const {  // in steps
    return steps > 0 ? steps : epochs * steps_per_epoch;
  }
};

// At least one. Throws Error naming file, line and key.
std::vector<Phase> training_phases(const Config& config);

}  // namespace lockstep
