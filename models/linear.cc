// linear: one linear layer, "fc". Keys: bias.
#include "models/layers/linear.h"
#include "models/network.h"

namespace lockstep {

Network make_linear(const ModelTable& keys, const NetworkInput& input) {
  auto network = std::make_unique<Sequential>();
  add_vector_input(*network, input);
  network->add_named<Linear>("fc", input.outputs, keys.get<bool>("bias", true));
  return network;
}

}  // namespace lockstep
