// `lockstep bench allreduce`: the exchange of a training step beside MPI_Allreduce.
#pragma once

#include "launch/commands.h"

namespace lockstep {

void add_bench_allreduce(CLI::App& bench, Action& action);

}  // namespace lockstep
