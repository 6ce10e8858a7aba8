// What a layer of a trained network gets to see: of a network's head, the last hidden activations,
// in which it tells the classes apart.
#pragma once

#include <string>

#include "runtime/run/evaluation.h"

namespace lockstep {

struct Activations {
  Tensor values;      // float32 (rows, columns), a row a sample, in file order, whole on every rank
  std::string layer;  // whose output they are
};

// A collective of all ranks. The layer is named by its path, as `inspect` shows it. Throws Error
// where there is none of that name, or where it gets the network's input itself.
Activations inputs_of_layer(Team& team, const NodeDataset& data, const EvaluationOptions& options,
                            const std::string& path);

}  // namespace lockstep
