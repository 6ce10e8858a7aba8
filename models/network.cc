#include "models/network.h"

#include <algorithm>

#include "models/layers/flatten.h"

namespace lockstep {

void add_vector_input(Sequential& network, const NetworkInput& input) {
  if (input.sample.rank() != 1) network.add_named<Flatten>("flatten");
}

void add_image_input(Sequential& network, const NetworkInput& input, const std::string& name) {
  if (input.sample.rank() == 2) {
    network.add_named<AddChannel>("channel");
  } else if (input.sample.rank() != 3) {
    throw Error(
        "network '{}' takes images (H, W, C) or (H, W), but a sample of these data is {}; "
        "set model.network to \"mlp\" for vectors",
        name, input.sample.to_string());
  }
}

std::string place_of(const ModelTable& keys, std::string_view key) {
  const auto entry = keys.entries().find(key);
  return entry == keys.entries().end() ? "default" : entry->second.where;
}

std::string read_choice(const ModelTable& keys, const std::string& key,
                        const std::vector<std::string>& choices) {
  const std::string value = keys.get<std::string>(key, choices.front());
  if (std::ranges::find(choices, value) != choices.end()) return value;
  throw Error("{}: model.{} is \"{}\", not one of \"{}\"", place_of(keys, key), key, value,
              fmt::join(choices, "\", \""));
}

Activation read_activation(const ModelTable& keys) {
  const std::string name = keys.get<std::string>("activation", "relu");
  try {
    return parse_activation(name);
  } catch (const Error& error) {
    throw Error("{}: model.activation: {}", place_of(keys, "activation"), error.what());
  }
}

double read_dropout(const ModelTable& keys) {
  const double probability = keys.get<double>("dropout", 0.0);
  if (!(probability >= 0 && probability < 1)) {
    throw Error("{}: model.dropout must lie in [0, 1), not {}", place_of(keys, "dropout"),
                probability);
  }
  return probability;
}

std::vector<std::int64_t> read_widths(const ModelTable& keys) {
  std::vector<std::int64_t> widths = keys.get<std::vector<std::int64_t>>("widths", {128});
  for (const std::int64_t width : widths) {
    if (width < 1) {
      throw Error("{}: model.widths holds {}; the size of a layer is at least 1",
                  place_of(keys, "widths"), width);
    }
  }
  return widths;
}

}  // namespace lockstep
