// [model.initial]: values of named parameters from the config, in the order of weight files.
#pragma once

#include <map>
#include <string>

#include "runtime/config/config.h"
#include "runtime/step/params.h"

namespace lockstep {

// Overwrites the bound values of the named parameters; a single number fills its parameter. Throws
// Error naming the line: unknown parameter (with the nearest name), shape that does not fit.
void set_initial_values(Backend& backend, ParamSet& params,
                        const std::map<std::string, InitialValue, std::less<>>& initial);

}  // namespace lockstep
