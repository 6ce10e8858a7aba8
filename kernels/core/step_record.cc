#include "kernels/core/step_record.h"

namespace lockstep {

StepRecord::~StepRecord() = default;
StepRecordMaker::~StepRecordMaker() = default;

std::unique_ptr<StepRecord> make_step_record(Device& device, std::int64_t shards,
                                             std::int64_t blocks) {
  auto* const maker = dynamic_cast<StepRecordMaker*>(&device);
  return maker == nullptr ? nullptr : maker->make_step_record(shards, blocks);
}

}  // namespace lockstep
