// Rehearsal: a training on a GPU up to its first step, on a back end that has no memory and
// computes nothing, but counts the one and asks the libraries for the other. So a run knows what
// it takes before it has any of it, and a plan that cannot be made shows before the first step.
#pragma once

#include "runtime/communication/shard_plan.h"
#include "runtime/config/config.h"
#include "runtime/run/device_choice.h"
#include "runtime/step/warm_up.h"

namespace lockstep {

struct RehearsedTraining {
  const Config& config;
  const Blueprint& blueprint;
  const ShardPlan& shards;
  int rank = 0;
  int lanes = 1;              // replicas of the rank
  std::int64_t max_rows = 0;  // of a shard
  bool linked = false;        // the ranks' GPUs exchange by a link of their own
  const WarmUp& warm_up;
};

// Throws Error, which names the question and the options, where a library has no plan.
MemoryPlan rehearse(const DeviceChoice& device, const RehearsedTraining& training);

}  // namespace lockstep
