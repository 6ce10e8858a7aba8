// Probe: a hash of a few results of this machine's arithmetic: a product, a convolution, an
// exponential, an Adam step. Ranks compare it before step 1 and checkpoints store it: where it
// differs, the promise of the same bits does not hold, and nobody should train on.
#pragma once

#include <string>

#include "kernels/backend.h"

namespace lockstep {

std::string arithmetic_probe(Backend& backend);

}  // namespace lockstep
