// The kinds of layers for sequences in the table of layer_kinds.cc, with their keys.
#pragma once

#include <vector>

#include "models/layer_kinds.h"

namespace lockstep {

std::vector<LayerKind> sequence_kinds();

}  // namespace lockstep
