// All labels of a part without its x, which may be a thousand times larger.
#pragma once

#include <cstdint>
#include <vector>

#include "io/dataset/dataset.h"

namespace lockstep {

// `dataset` is `source` opened, and its target are classes. Throws as Dataset::read does.
std::vector<std::int64_t> labels_of(const DataSource& source, const Dataset& dataset);

}  // namespace lockstep
