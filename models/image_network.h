// What the networks for pictures share: their keys, read in one place, and the parts that several
// of them have. Names of parameters, shapes, initial values and defaults are timm's.
#pragma once

#include <optional>

#include "models/layers/conv2d.h"
#include "models/network.h"

namespace lockstep {

struct ImageKeys {
  double drop_rate = 0;  // of the dropout before the classifier
  double drop_path = 0;  // of the last block; earlier ones drop less
};

// Gives grey images (H, W) their channel, and checks num_classes, in_channels and image_size, where
// they are given, against the input. Throws Error naming both sides.
ImageKeys begin_image_network(Sequential& network, const ModelTable& keys,
                              const NetworkInput& input, const std::string& name);

// What num_classes, in_channels (by default 3) and image_size say where there are no data; nothing
// where num_classes or image_size is not given.
std::optional<NetworkInput> input_of_keys(const ModelTable& keys);

// A square kernel without bias, padded by half of it, of variance 2 / fan_out.
Conv2dOptions image_conv(std::int64_t channels, std::int64_t kernel, std::int64_t stride = 1,
                         std::int64_t groups = 1);

// Dropout, where there is any; not scoped, for it has no parameters.
void add_drop_rate(Sequential& network, double drop_rate);

}  // namespace lockstep
