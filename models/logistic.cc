// logistic: one linear layer, "fc", whose outputs are logits: one for binary_cross_entropy, one a
// class for cross_entropy. The loss holds the sigmoid or softmax. Keys: bias.
#include "models/layers/linear.h"
#include "models/network.h"

namespace lockstep {

Network make_logistic(const ModelTable& keys, const NetworkInput& input) {
  auto network = std::make_unique<Sequential>();
  add_vector_input(*network, input);
  network->add_named<Linear>("fc", input.outputs, keys.get<bool>("bias", true));
  return network;
}

}  // namespace lockstep
