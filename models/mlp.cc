// mlp: linear layers "fc1", "fc2", ... with an activation and dropout behind each but the last.
// Keys: widths, activation, bias, dropout.
#include "models/layers/dropout.h"
#include "models/layers/linear.h"
#include "models/network.h"

namespace lockstep {

Network make_mlp(const ModelTable& keys, const NetworkInput& input) {
  const std::vector<std::int64_t> widths = read_widths(keys);
  const Activation activation = read_activation(keys);
  const bool bias = keys.get<bool>("bias", true);
  const double dropout = read_dropout(keys);

  auto network = std::make_unique<Sequential>();
  add_vector_input(*network, input);
  std::size_t number = 1;
  for (const std::int64_t width : widths) {
    network->add_named<Linear>(fmt::format("fc{}", number), width, bias);
    network->add_named<ActivationLayer>(fmt::format("act{}", number), activation);
    if (dropout > 0) network->add_named<Dropout>(fmt::format("drop{}", number), dropout);
    ++number;
  }
  network->add_named<Linear>(fmt::format("fc{}", number), input.outputs, bias);
  return network;
}

}  // namespace lockstep
