// The kinds of layers that [[model.layers]] can name, with their keys, and the network that such a
// list of tables stands for. A new kind is a row in layer_kinds.cc.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/layer_keys.h"
#include "models/layers/sequential.h"

namespace lockstep {

struct LayerKind {
  std::string_view name, help;
  std::vector<TableKey> keys;  // beside "kind" and "name", which every layer has
  std::unique_ptr<UnaryLayer> (*make)(const LayerKeys& keys);
};

std::span<const LayerKind> layer_kinds();

// The table as text, for --help.
std::string layer_kinds_help();

// What a list of layers was written as: its value, its place and its path ("model.layers").
struct LayerList {
  const ConfigValue& value;
  std::string where, path;
};

// The layers one after another, named as torch.nn.Sequential names them ("0", "1", ...) or by
// their key `name`. `outputs`: what the loss asks for; the last linear layer has so many features
// where its table leaves them out. 0: every linear layer must say its own. Throws Error with file,
// line, layer and key.
std::unique_ptr<Sequential> make_layers(const LayerList& list, std::int64_t outputs = 0);

}  // namespace lockstep
