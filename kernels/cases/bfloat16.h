// The same cases with activations in bfloat16, for back ends whose operations take them so.
#pragma once

#include <optional>

#include "kernels/cases/op_case.h"

namespace lockstep::cases {

// The case with its activations (and their gradients) as bfloat16, for a backend whose
// activation_type() that is; parameters, statistics and sums stay float32. Nothing for operations
// on float32 slices.
std::optional<OpCase> in_bfloat16(const OpCase& op_case);

}  // namespace lockstep::cases
