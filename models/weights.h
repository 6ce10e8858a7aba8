// Weights as safetensors under PyTorch's names and in its order, so that the same network in Python
// reads and writes them.
#pragma once

#include <map>
#include <string>

#include "runtime/step/params.h"

namespace lockstep {

// All parameters and statistics, in the order of registration.
void write_weights(const std::string& path, Backend& backend, const ParamSet& params,
                   const std::map<std::string, std::string>& metadata = {});

// Overwrites all bound values. Throws Error naming the file and every tensor that is missing, not
// known, of another shape or not float32; nothing is written then. PyTorch's num_batches_tracked
// is passed over.
void read_weights(const std::string& path, Backend& backend, ParamSet& params);

}  // namespace lockstep
