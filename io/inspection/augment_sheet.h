// A sheet of what data.augment makes of some samples: a row a sample, the stored image first, then
// its versions of the first epochs.
#pragma once

#include <string>

#include "io/augment/augmentation.h"

namespace lockstep {

// `count` samples, spread evenly over the dataset, in `versions` epochs each, as training sees
// them; where samples are mixed, those on the sheet are each other's partners, and under each
// version stand the shares of both labels. Returns what is shown, in one line. Throws if the
// samples are no images.
std::string write_augment_sheet(const Dataset& dataset, const Augmentation& augmentation,
                                std::int64_t count, std::int64_t versions, const std::string& png);

}  // namespace lockstep
