// Ranks that are about to exchange must mean the same exchange, or they would read each other's
// memory as something else.
#pragma once

#include "runtime/communication/communicator.h"

namespace lockstep {

// A collective. Throws Error naming the first rank whose plan differs from rank 0's, and both
// plans.
void check_same_plan(Communicator& communicator, const ExchangePlan& plan, const ShardPlan& shards);

}  // namespace lockstep
