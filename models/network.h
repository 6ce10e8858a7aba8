// What a network is made from, the builders (one file a network), and the helpers that they share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/layers/activation.h"
#include "models/layers/sequential.h"
#include "runtime/config/config.h"

namespace lockstep {

// From the data: the shape of one sample (float32 when it gets to the network), and how many
// outputs the loss asks for.
struct NetworkInput {
  Shape sample;
  std::int64_t outputs = 0;
};

using Network = std::unique_ptr<Sequential>;

Network make_linear(const ModelTable& keys, const NetworkInput& input);
Network make_logistic(const ModelTable& keys, const NetworkInput& input);
Network make_mlp(const ModelTable& keys, const NetworkInput& input);
Network make_lenet(const ModelTable& keys, const NetworkInput& input);
Network make_cnn(const ModelTable& keys, const NetworkInput& input);
Network make_resnet18(const ModelTable& keys, const NetworkInput& input);
Network make_resnet34(const ModelTable& keys, const NetworkInput& input);
Network make_resnet50(const ModelTable& keys, const NetworkInput& input);
Network make_efficientnet_b0(const ModelTable& keys, const NetworkInput& input);
Network make_convnext_tiny(const ModelTable& keys, const NetworkInput& input);
Network make_quadratic(const ModelTable& keys, const NetworkInput& input);
Network make_listed_layers(const ModelTable& keys, const NetworkInput& input);

// Flattens samples that are not vectors already.
void add_vector_input(Sequential& network, const NetworkInput& input);
// Passes images (H, W, C) on, gives grey ones (H, W) their channel, and refuses all others.
void add_image_input(Sequential& network, const NetworkInput& input, const std::string& name);

std::string place_of(const ModelTable& keys, std::string_view key);  // where it was written
// Values of keys; the Errors name the place where the value was written.
Activation read_activation(const ModelTable& keys);  // "activation", by default "relu"
// One of `choices`, by default the first.
std::string read_choice(const ModelTable& keys, const std::string& key,
                        const std::vector<std::string>& choices);
double read_dropout(const ModelTable& keys);  // "dropout", in [0, 1), by default 0
std::vector<std::int64_t> read_widths(const ModelTable& keys);  // "widths", by default [128]

}  // namespace lockstep
