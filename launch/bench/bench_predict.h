// `lockstep bench predict`: the network's outputs for the rows of a split, timed.
#pragma once

#include "launch/commands.h"

namespace lockstep {

void add_bench_predict(CLI::App& bench, Action& action, const Networks& networks);

}  // namespace lockstep
