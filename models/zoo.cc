#include "models/zoo.h"

#include <algorithm>

#include "models/layer_kinds.h"

namespace lockstep {

namespace {

const std::vector<NetworkEntry>& table() {
  static const NetworkKey bias = {"bias", "true", "linear layers add a bias"};
  static const NetworkKey activation = {
      "activation", "\"relu\"", "relu, sigmoid, tanh, leaky_relu, elu, gelu, gelu_tanh or silu"};
  static const NetworkKey dropout = {"dropout", "0.0", "probability behind each hidden layer"};
  const auto image_keys = [](std::vector<NetworkKey> own) {
    own.insert(
        own.begin(),
        {{"num_classes", "(as the loss asks for)", "an error where the data of a training differ"},
         {"in_channels", "(as the data have)", "an error where the data say otherwise"},
         {"image_size", "(as the data have)", "an error where the data say otherwise"},
         {"drop_rate", "0.0", "dropout before the classifier"},
         {"drop_path", "0.0", "stochastic depth of the last block, rising from 0"}});
    return own;
  };
  static const NetworkKey stem = {"stem", "\"imagenet\"",
                                  "or \"cifar\": 3x3 of stride 1, no pooling, for small images"};
  static const std::vector<NetworkEntry> entries = {
      {"linear", "one linear layer: linear regression", {bias}, make_linear},
      {"logistic",
       "one linear layer whose outputs are logits: logistic or softmax regression",
       {bias},
       make_logistic},
      {"mlp",
       "linear layers with activations between them",
       {{"widths", "[128]", "sizes of the hidden layers"}, activation, bias, dropout},
       make_mlp},
      {"lenet",
       "LeNet-5 for images of 28 x 28 and more: two convolutions, three linear layers",
       {activation},
       make_lenet},
      {"cnn",
       "two 5x5 convolutions of 16 and 32 channels, a linear layer of 128",
       {{"batch_norm", "false", "normalise behind each convolution"},
        {"dropout", "0.0", "probability before the last layer"}},
       make_cnn},
      {"resnet18", "ResNet-18, as timm's", image_keys({stem}), make_resnet18},
      {"resnet34", "ResNet-34, as timm's", image_keys({stem}), make_resnet34},
      {"resnet50", "ResNet-50 (v1.5), as timm's", image_keys({stem}), make_resnet50},
      {"efficientnet_b0", "EfficientNet-B0, as timm's", image_keys({}), make_efficientnet_b0},
      {"convnext_tiny", "ConvNeXt-T, as timm's", image_keys({}), make_convnext_tiny},
      {"quadratic", "y = a x² + b x + c with the parameters a, b, c", {}, make_quadratic},
      {"layers",
       "the layers that [[model.layers]] lists",
       {{"layers", "(none)", "one table a layer: kind, name, and the kind's keys"}},
       make_listed_layers},
  };
  return entries;
}

}  // namespace

std::span<const NetworkEntry> networks() {
  return table();
}

Network make_network(const std::string& name, const ModelTable& keys, const NetworkInput& input,
                     std::span<const NetworkEntry> own) {
  const NetworkEntry* entry = nullptr;
  std::vector<std::string> names;
  for (const std::span<const NetworkEntry> entries : {networks(), own})
    for (const NetworkEntry& known : entries) {
      if (known.name == name) entry = &known;
      names.emplace_back(known.name);
    }
  if (entry == nullptr) {
    const std::string nearest = nearest_name(name, names);
    throw Error("unknown network '{}'{}; model.network is one of {}", name,
                nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest),
                fmt::join(names, ", "));
  }
  LOCKSTEP_CHECK(input.outputs > 0, "network '{}' with {} outputs", name, input.outputs);
  Network network = entry->make(keys, input);
  const std::vector<std::string> unknown = keys.unknown_keys();
  if (!unknown.empty()) throw Error("{}", fmt::join(unknown, "\n"));
  return network;
}

std::string networks_help(std::span<const NetworkEntry> own) {
  std::string text;
  for (const std::span<const NetworkEntry> entries : {networks(), own})
    for (const NetworkEntry& entry : entries) {
      text += fmt::format("{:<17}{}\n", entry.name, entry.help);
      for (const NetworkKey& key : entry.keys)
        text +=
            fmt::format("                   model.{} = {}: {}\n", key.name, key.fallback, key.help);
    }
  text +=
      "\nKinds of layers in [[model.layers]]; every one may have a name:\n" + layer_kinds_help();
  return text;
}

}  // namespace lockstep
