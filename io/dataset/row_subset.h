// Some rows of a dataset as a dataset of their own, in the order in which they were named.
#pragma once

#include <memory>
#include <vector>

#include "io/dataset/dataset.h"

namespace lockstep {

// Throws Error for a row that the dataset does not have.
std::unique_ptr<Dataset> row_subset(std::shared_ptr<const Dataset> dataset,
                                    std::vector<std::int64_t> rows);

}  // namespace lockstep
