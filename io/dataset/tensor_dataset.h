// A dataset of samples that are in memory already: rows for predict that no dataset file holds.
#pragma once

#include <memory>

#include "io/dataset/dataset.h"

namespace lockstep {

// x: a host tensor (N, ...) of samples. There are no targets and no weights.
std::shared_ptr<const Dataset> tensor_dataset(Tensor x, DatasetInfo info);

}  // namespace lockstep
