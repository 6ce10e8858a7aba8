// What data.augment costs: microseconds a sample on one thread, rows in memory.
#pragma once

#include "io/augment/augmentation.h"

namespace lockstep {

// The median of `rounds` rounds over up to a thousand of the dataset's rows.
double microseconds_to_augment(const Dataset& dataset, const Augmentation& augmentation,
                               int rounds);

}  // namespace lockstep
