#include "models/layer_kinds.h"

#include <algorithm>
#include <map>

#include "models/layers/activation.h"
#include "models/layers/adaptive_pool.h"
#include "models/layers/batch_norm.h"
#include "models/layers/conv2d.h"
#include "models/layers/drop_path.h"
#include "models/layers/dropout.h"
#include "models/layers/flatten.h"
#include "models/layers/layer_norm.h"
#include "models/layers/layer_scale.h"
#include "models/layers/linear.h"
#include "models/layers/maxout.h"
#include "models/layers/parallel.h"
#include "models/layers/polynomial.h"
#include "models/layers/pool.h"
#include "models/layers/residual.h"
#include "models/layers/squeeze_excitation.h"
#include "models/sequence_kinds.h"
#include "runtime/config/config_value.h"

namespace lockstep {

namespace {

using Made = std::unique_ptr<UnaryLayer>;

Made make_linear(const LayerKeys& keys) {
  if (!keys.has("features") && keys.outputs() == 0)
    throw Error("{}", keys.message("features",
                                   "is missing; only the last linear layer of the network may "
                                   "leave it out"));
  const std::int64_t features = keys.has("features") ? keys.integer("features") : keys.outputs();
  return std::make_unique<Linear>(features, keys.flag("bias"));
}

Made make_conv2d(const LayerKeys& keys) {
  Conv2dOptions options;
  options.out_channels = keys.integer("channels");
  std::tie(options.kernel_h, options.kernel_w) = keys.pair("kernel");
  std::tie(options.stride_h, options.stride_w) = keys.pair("stride");
  std::tie(options.pad_h, options.pad_w) = keys.pair("padding", 0);
  std::tie(options.dilation_h, options.dilation_w) = keys.pair("dilation");
  options.groups = keys.integer("groups");
  options.bias = keys.flag("bias");
  return std::make_unique<Conv2d>(options);
}

PoolOptions read_pool(const LayerKeys& keys) {
  PoolOptions options;
  std::tie(options.kernel_h, options.kernel_w) = keys.pair("kernel");
  std::tie(options.stride_h, options.stride_w) =
      keys.pair(keys.has("stride") ? "stride" : "kernel");
  std::tie(options.pad_h, options.pad_w) = keys.pair("padding", 0);
  return options;
}

Made make_max_pool(const LayerKeys& keys) {
  return std::make_unique<MaxPool2d>(read_pool(keys));
}

Made make_avg_pool(const LayerKeys& keys) {
  PoolOptions options = read_pool(keys);
  options.count_include_pad = keys.flag("count_include_pad");
  return std::make_unique<AvgPool2d>(options);
}

Made make_batch_norm(const LayerKeys& keys) {
  return std::make_unique<BatchNorm>(static_cast<float>(keys.number("eps", 0, 1)),
                                     static_cast<float>(keys.number("momentum", 0, 1)));
}

Made make_dropout(const LayerKeys& keys) {
  return std::make_unique<Dropout>(keys.share("p"));
}

Made make_drop_path(const LayerKeys& keys) {
  return std::make_unique<DropPath>(keys.share("p"));
}

Made make_squeeze_excitation(const LayerKeys& keys) {
  return std::make_unique<SqueezeExcitation>(keys.integer("reduced"));
}

template <Activation::Kind activation>
Made make_activation(const LayerKeys&) {
  return std::make_unique<ActivationLayer>(activation);
}

// An activation with a parameter in [0, 1000].
template <Activation::Kind kind>
Made make_activation_with(const LayerKeys& keys) {
  const char* key = kind == Activation::kElu ? "alpha" : "slope";
  return std::make_unique<ActivationLayer>(
      Activation(kind, static_cast<float>(keys.number(key, 0, 1000))));
}

Made make_gelu(const LayerKeys& keys) {
  const bool by_tanh = keys.text("approximate", {"none", "tanh"}) == "tanh";
  return std::make_unique<ActivationLayer>(by_tanh ? Activation::kGeluTanh : Activation::kGelu);
}

Made make_maxout(const LayerKeys& keys) {
  const std::int64_t pieces = keys.integer("pieces");
  if (pieces > 255)
    throw Error("{}", keys.message("pieces", fmt::format("is at most 255, not {}", pieces)));
  return std::make_unique<Maxout>(pieces);
}

template <typename L>
Made make_adaptive_pool(const LayerKeys& keys) {
  const auto [height, width] = keys.pair("output");
  return std::make_unique<L>(height, width);
}

Made make_layer_norm(const LayerKeys& keys) {
  return std::make_unique<LayerNorm>(static_cast<float>(keys.number("eps", 0, 1)));
}

template <typename L>
Made make_plain(const LayerKeys&) {
  return std::make_unique<L>();
}

// The layers that stand below a key of another layer.
LayerList inner(const LayerKeys& keys, const std::string& key) {
  return {keys.value(key), keys.place(key), fmt::format("{}.{}", keys.path(), key)};
}

Made make_residual(const LayerKeys& keys) {
  Made shortcut;
  if (keys.has("shortcut")) shortcut = make_layers(inner(keys, "shortcut"));
  return std::make_unique<Residual>(make_layers(inner(keys, "layers")), std::move(shortcut));
}

Made make_layer_scale(const LayerKeys& keys) {
  const std::int64_t channels = keys.integer("channels");
  const double start = keys.number("start", -1e3, 1e3);
  return std::make_unique<LayerScale>(make_layers(inner(keys, "layers")), channels, start);
}

std::vector<LayerKind> joined(std::vector<LayerKind> kinds, const std::vector<LayerKind>& more) {
  kinds.insert(kinds.end(), more.begin(), more.end());
  return kinds;
}

Made make_parallel(const LayerKeys& keys) {
  const bool add = keys.text("join", {"concat", "add"}) == "add";
  const LayerList branches = inner(keys, "branches");
  const auto* lists = std::get_if<ConfigValue::Array>(&branches.value.value);
  if (lists == nullptr || lists->size() < 2)
    throw Error("{}", keys.message("branches",
                                   "must be a list of at least two lists of layers; an empty one "
                                   "passes its input on"));
  std::vector<Made> made;
  for (std::size_t i = 0; i < lists->size(); ++i) {
    const LayerList branch{(*lists)[i], branches.where, fmt::format("{}[{}]", branches.path, i)};
    const bool identity = branch.value == ConfigValue{ConfigValue::Array{}};
    made.push_back(identity ? nullptr : make_layers(branch));
  }
  return std::make_unique<Parallel>(std::move(made),
                                    add ? Parallel::Join::kAdd : Parallel::Join::kConcat);
}

const std::vector<LayerKind>& table() {
  static const TableKey kernel = {"kernel", "2", "of the window: n or [height, width]"};
  static const TableKey pool_stride = {"stride", "(kernel)", "n or [height, width]"};
  static const TableKey padding = {"padding", "0", "n or [height, width]"};
  static const TableKey output = {"output", "1", "n or [height, width]"};
  static const std::vector<LayerKind> common = {
      {"linear",
       "y = x wᵀ + b over vectors, or over each token of (T, C)",
       {{"features", "(the last linear layer: what the loss asks for)", "size of the output"},
        {"bias", "true", "add b"}},
       make_linear},
      {"conv2d",
       "cross-correlation over images (H, W, C)",
       {{"channels", "", "of the output"},
        {"kernel", "3", "n or [height, width]"},
        {"stride", "1", "n or [height, width]"},
        padding,
        {"dilation", "1", "n or [height, width]"},
        {"groups", "1", "of channels that see one another"},
        {"bias", "true", "add one number a channel"}},
       make_conv2d},
      {"max_pool", "the largest value of a window", {kernel, pool_stride, padding}, make_max_pool},
      {"avg_pool",
       "the average of a window",
       {kernel, pool_stride, padding, {"count_include_pad", "true", "padding counts as zeros"}},
       make_avg_pool},
      {"global_avg_pool", "(H, W, C) to (C)", {}, make_plain<GlobalAvgPool2d>},
      {"adaptive_max_pool",
       "the largest value of windows that give images of one size",
       {output},
       make_adaptive_pool<AdaptiveMaxPool2d>},
      {"adaptive_avg_pool",
       "the average of such windows",
       {output},
       make_adaptive_pool<AdaptiveAvgPool2d>},
      {"layer_norm",
       "over the last axis",
       {{"eps", "1e-5", "added to the variance"}},
       make_layer_norm},
      {"batch_norm",
       "over all axes but the last",
       {{"eps", "1e-5", "added to the variance"},
        {"momentum", "0.1", "weight of the new running statistics"}},
       make_batch_norm},
      {"dropout", "zeros at random while training", {{"p", "0.5", "probability"}}, make_dropout},
      {"drop_path",
       "whole samples become zeros at random while training, at the end of a residual branch",
       {{"p", "0.1", "probability"}},
       make_drop_path},
      {"squeeze_excitation",
       "channels times a gate made from their averages",
       {{"reduced", "", "channels inside the gate"}},
       make_squeeze_excitation},
      {"layer_scale",
       "layers(x) times one learned factor a channel, \"gamma\"",
       {{"layers", "", "list of layers"},
        {"channels", "", "of their output"},
        {"start", "1e-6", "what the factors begin with"}},
       make_layer_scale},
      {"flatten", "any sample as one vector", {}, make_plain<Flatten>},
      {"add_channel", "grey images (H, W) to (H, W, 1)", {}, make_plain<AddChannel>},
      {"relu", "max(0, x)", {}, make_activation<Activation::kRelu>},
      {"sigmoid", "1 / (1 + exp(-x))", {}, make_activation<Activation::kSigmoid>},
      {"tanh", "tanh(x)", {}, make_activation<Activation::kTanh>},
      {"leaky_relu",
       "x, or slope x where x < 0",
       {{"slope", "0.1", "of the negative side"}},
       make_activation_with<Activation::kLeakyRelu>},
      {"elu",
       "x, or alpha (exp(x) - 1) where x < 0",
       {{"alpha", "1.0", "of the negative side"}},
       make_activation_with<Activation::kElu>},
      {"gelu",
       "x times the normal distribution of x",
       {{"approximate", "\"none\"", "\"none\" (by erf) or \"tanh\""}},
       make_gelu},
      {"silu", "x sigmoid(x)", {}, make_activation<Activation::kSilu>},
      {"maxout",
       "the largest of the pieces of the last axis, channel by channel",
       {{"pieces", "2", "how many; each has an equal share of the channels"}},
       make_maxout},
      {"softmax", "over the last axis", {}, make_plain<Softmax>},
      {"log_softmax", "logarithm of softmax", {}, make_plain<LogSoftmax>},
      {"product", "of the values along the last axis", {}, make_plain<Product>},
      {"quadratic", "a x² + b x + c with the parameters a, b, c", {}, make_plain<Quadratic>},
      {"residual",
       "layers(x) + shortcut(x), parameters \"main.…\" and \"shortcut.…\"",
       {{"layers", "", "list of layers"}, {"shortcut", "(x itself)", "list of layers"}},
       make_residual},
      {"parallel",
       "branches of the same input, side by side or summed; parameters \"0.…\", \"1.…\", ...",
       {{"branches", "", "list of lists of layers; an empty one passes its input on"},
        {"join", "\"concat\"", "concat (along the last axis) or add"}},
       make_parallel},
  };
  static const std::vector<LayerKind> kinds = joined(common, sequence_kinds());
  return kinds;
}

const ConfigEntry* find_item(const ConfigTable& layer, std::string_view key) {
  const auto found = std::ranges::find(layer.items, key, &ConfigItem::key);
  return found == layer.items.end() ? nullptr : &found->entry;
}

const LayerKind& kind_of(const ConfigTable& layer, const std::string& path) {
  std::vector<std::string> names;
  for (const LayerKind& kind : table()) names.emplace_back(kind.name);
  const ConfigEntry* entry = find_item(layer, "kind");
  if (entry == nullptr)
    throw Error("{}: {}.kind is missing; it is one of {}", layer.where, path,
                fmt::join(names, ", "));
  std::string name;
  if (!convert(entry->value, name))
    throw Error("{}: {}.kind must be a string, found {}", entry->where, path,
                describe(entry->value));
  const auto found = std::ranges::find(table(), name, &LayerKind::name);
  if (found != table().end()) return *found;
  const std::string near = nearest_name(name, names);
  throw Error("{}: {}.kind: there is no kind '{}'{}; it is one of {}", entry->where, path, name,
              near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near),
              fmt::join(names, ", "));
}

std::string name_of(const ConfigTable& layer, const std::string& path, std::size_t index) {
  const ConfigEntry* entry = find_item(layer, "name");
  if (entry == nullptr) return std::to_string(index);
  std::string name;
  if (!convert(entry->value, name) || name.empty())
    throw Error("{}: {}.name must be a string of at least one letter, found {}", entry->where, path,
                describe(entry->value));
  return name;
}

// The place of the last linear layer, or -1.
std::ptrdiff_t last_linear(const ConfigValue::Array& layers) {
  std::ptrdiff_t last = -1;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto* layer = std::get_if<ConfigTable>(&layers[i].value);
    const ConfigEntry* kind = layer == nullptr ? nullptr : find_item(*layer, "kind");
    if (kind != nullptr && kind->value == ConfigValue{std::string("linear")})
      last = static_cast<std::ptrdiff_t>(i);
  }
  return last;
}

}  // namespace

std::span<const LayerKind> layer_kinds() {
  return table();
}

std::string layer_kinds_help() {
  std::string text;
  for (const LayerKind& kind : table()) {
    text += fmt::format("  {:<22}{}\n", kind.name, kind.help);
    for (const TableKey& key : kind.keys)
      text += fmt::format("  {:<22}  {} = {}: {}\n", "", key.name,
                          key.fallback.empty() ? "(required)" : key.fallback, key.help);
  }
  return text;
}

std::unique_ptr<Sequential> make_layers(const LayerList& list, std::int64_t outputs) {
  const auto* layers = std::get_if<ConfigValue::Array>(&list.value.value);
  if (layers == nullptr)
    throw Error("{}: {} must be a list of tables, one a layer, found {}", list.where, list.path,
                describe(list.value));
  const std::ptrdiff_t last = last_linear(*layers);
  std::map<std::string, std::string> taken;  // names, by whom
  auto network = std::make_unique<Sequential>();
  for (std::size_t i = 0; i < layers->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", list.path, i);
    const auto* layer = std::get_if<ConfigTable>(&(*layers)[i].value);
    if (layer == nullptr)
      throw Error("{}: {} must be a table such as {{ kind = \"relu\" }}, found {}", list.where,
                  path, describe((*layers)[i]));
    const LayerKind& kind = kind_of(*layer, path);
    const LayerKeys keys(*layer, kind.keys, path,
                         static_cast<std::ptrdiff_t>(i) == last ? outputs : 0);
    keys.check_known({"kind", "name"}, fmt::format("a layer of the kind '{}'", kind.name));
    const std::string name = name_of(*layer, path, i);
    const auto [other, is_new] = taken.emplace(name, path);
    if (!is_new)
      throw Error("{}: {}.name: '{}' is the name of {} already", layer->where, path, name,
                  other->second);
    network->add(kind.make(keys), name, fmt::format("{}: {}", layer->where, path));
  }
  return network;
}

}  // namespace lockstep
