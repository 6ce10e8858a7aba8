// The networks that the commands know: the zoo's, and those that a program of its own adds. And the
// weights that a new run starts with.
#pragma once

#include <string>
#include <vector>

#include "models/zoo.h"
#include "runtime/run/session.h"

namespace lockstep {

struct Networks {
  NetworkFactory make;
  std::string help;  // the tables of both, for --help
};

// Throws Error where a name of `own` is taken.
Networks all_networks(std::vector<NetworkEntry> own);

// [model] weights, but for a head of another size, then [model.initial]; says what was done.
std::vector<std::string> set_initial_weights(const Config& config, ParamSet& params,
                                             Backend& backend);

}  // namespace lockstep
