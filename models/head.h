// A network's head: its last linear layer, the one with an output a class. It is what training on
// other classes makes anew, and what a first phase of fine-tuning trains alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/step/params.h"

namespace lockstep {

// The scope of its parameters' names: "fc", "classifier", "head.fc"; empty where the network is
// that layer alone, whose weight is called "weight". None: the network has no linear layer.
std::optional<std::string> head_scope(const ParamSet& params);

// Whether the parameter called `name` belongs to a layer in this scope: "head.fc.weight" to
// "head.fc" and to "head", not to "head.f". All belong to the empty scope.
bool in_scope(std::string_view name, std::string_view scope);

}  // namespace lockstep
