// cnn: two 5 x 5 convolutions of 16 and 32 channels, each with ReLU and pooling by 2, then a linear
// layer of 128. Keys: batch_norm (behind each convolution, "bn1" and "bn2"; the convolutions keep
// their biases), dropout (before the last layer).
#include "models/layers/batch_norm.h"
#include "models/layers/conv2d.h"
#include "models/layers/dropout.h"
#include "models/layers/flatten.h"
#include "models/layers/linear.h"
#include "models/layers/pool.h"
#include "models/network.h"

namespace lockstep {

Network make_cnn(const ModelTable& keys, const NetworkInput& input) {
  const bool batch_norm = keys.get<bool>("batch_norm", false);
  const double dropout = read_dropout(keys);
  auto network = std::make_unique<Sequential>();
  add_image_input(*network, input, "cnn");
  const auto add_stage = [&](int number, std::int64_t channels) {
    network->add_named<Conv2d>(fmt::format("conv{}", number),
                               Conv2dOptions::square(channels, 5, 2));
    if (batch_norm) network->add_named<BatchNorm>(fmt::format("bn{}", number));
    network->add_named<ActivationLayer>(fmt::format("relu{}", number), Activation::kRelu);
    network->add_named<MaxPool2d>(fmt::format("pool{}", number));
  };
  add_stage(1, 16);
  add_stage(2, 32);
  network->add_named<Flatten>("flatten");
  network->add_named<Linear>("fc1", 128);
  network->add_named<ActivationLayer>("relu3", Activation::kRelu);
  if (dropout > 0) network->add_named<Dropout>("drop", dropout);
  network->add_named<Linear>("fc2", input.outputs);
  return network;
}

}  // namespace lockstep
