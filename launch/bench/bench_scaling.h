// `lockstep bench scaling`: training rates over rank counts, which it starts itself with mpirun.
#pragma once

#include "launch/commands.h"

namespace lockstep {

void add_bench_scaling(CLI::App& bench, Action& action);

}  // namespace lockstep
