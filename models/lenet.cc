// lenet: LeNet-5 (LeCun, Bottou, Bengio, Haffner: "Gradient-based learning applied to document
// recognition", 1998) as PyTorch's tutorials train it: max pooling, ReLU, no sparse connections.
// Images under 32 pixels are padded by 2, as MNIST's 28 x 28 were in the paper. Keys: activation.
#include <algorithm>

#include "models/layers/conv2d.h"
#include "models/layers/flatten.h"
#include "models/layers/linear.h"
#include "models/layers/pool.h"
#include "models/network.h"

namespace lockstep {

Network make_lenet(const ModelTable& keys, const NetworkInput& input) {
  const Activation activation = read_activation(keys);
  auto network = std::make_unique<Sequential>();
  add_image_input(*network, input, "lenet");
  const std::int64_t pad = std::min(input.sample[0], input.sample[1]) < 32 ? 2 : 0;
  network->add_named<Conv2d>("conv1", Conv2dOptions::square(6, 5, pad));
  network->add_named<ActivationLayer>("act1", activation);
  network->add_named<MaxPool2d>("pool1");
  network->add_named<Conv2d>("conv2", Conv2dOptions::square(16, 5));
  network->add_named<ActivationLayer>("act2", activation);
  network->add_named<MaxPool2d>("pool2");
  network->add_named<Flatten>("flatten");
  network->add_named<Linear>("fc1", 120);
  network->add_named<ActivationLayer>("act3", activation);
  network->add_named<Linear>("fc2", 84);
  network->add_named<ActivationLayer>("act4", activation);
  network->add_named<Linear>("fc3", input.outputs);
  return network;
}

}  // namespace lockstep
