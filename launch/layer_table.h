// The table of a network's layers that `inspect CONFIG` prints.
#pragma once

#include "launch/networks.h"
#include "runtime/step/replica.h"

namespace lockstep {

// Of the network as the data ask for it, or, where the config's data are not there, as its keys
// num_classes, in_channels and image_size do. Prints why there is no table where neither helps.
void print_layer_table(const Config& config, const Networks& networks);

}  // namespace lockstep
