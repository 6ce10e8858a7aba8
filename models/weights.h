// Weights as safetensors under PyTorch's names and in its order, so that the same network in Python
// reads and writes them: load_state_dict(load_file(FILE), strict=True). Batch norm's counter
// num_batches_tracked is passed over in a file and not written: PyTorch asks for it in its own
// files alone.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/step/params.h"

namespace lockstep {

// All parameters and statistics, in the order of registration.
void write_weights(const std::string& path, Backend& backend, const ParamSet& params,
                   const std::map<std::string, std::string>& metadata = {});

// Whether the head (models/head.h) may have another number of outputs in the file: it then keeps
// the values that it has.
enum class HeadPolicy { kMustAgree, kMayDiffer };

// Overwrites all bound values; 16-bit and 64-bit floats become float32. Returns a line for what was
// not taken as it stood in the file. Throws Error naming the file and every tensor that is missing,
// not known, of another shape or of integers, or the first element that is not finite; nothing is
// written then.
std::vector<std::string> read_weights(const std::string& path, Backend& backend, ParamSet& params,
                                      HeadPolicy policy = HeadPolicy::kMustAgree);

}  // namespace lockstep
