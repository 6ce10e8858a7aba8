#include "runtime/run/class_check.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

// One output tells two classes apart by its sign, where the loss takes it so.
std::int64_t told_apart(LossKind loss, std::int64_t outputs) {
  return loss != LossKind::kCrossEntropy && outputs == 1 ? 2 : outputs;
}

const ConfigEntry* find_entry(const ModelTable& model, std::string_view key) {
  const auto found = model.entries().find(key);  // without counting as read
  return found == model.entries().end() ? nullptr : &found->second;
}

// What set the number of outputs, and what to do about it.
struct Origin {
  std::string where, cure;
};

Origin origin_in_layers(const ConfigValue::Array& layers, std::int64_t outputs,
                        std::int64_t classes) {
  const std::size_t last = layers.size() - 1;
  const auto* layer = std::get_if<ConfigTable>(&layers[last].value);
  const std::string path = fmt::format("model.layers[{}]", last);
  if (layer == nullptr) return {path, "let it give as many"};
  const auto features = std::ranges::find(layer->items, "features", &ConfigItem::key);
  if (features != layer->items.end() && features->entry.value == ConfigValue{outputs})
    return {fmt::format("{}: {}.features = {}", features->entry.where, path, outputs),
            fmt::format("set it to {}, or leave it out: the data tell", classes)};
  return {fmt::format("{}: {}, the last layer", layer->where, path),
          "end the list with { kind = \"linear\" }, which gives as many as the data need"};
}

Origin origin_of(const ModelTable& model, std::int64_t outputs, std::int64_t classes) {
  const ConfigEntry* layers = find_entry(model, "layers");
  const auto* list =
      layers == nullptr ? nullptr : std::get_if<ConfigValue::Array>(&layers->value.value);
  const ConfigEntry* given = find_entry(model, "outputs");
  const bool as_given = given != nullptr && given->value == ConfigValue{outputs};
  if (list != nullptr && !list->empty() && !as_given)
    return origin_in_layers(*list, outputs, classes);
  if (as_given)
    return {fmt::format("{}: model.outputs = {}", given->where, outputs),
            "leave it out: the data tell"};
  return {"model.network", "let it end in as many outputs as it is asked for"};
}

std::string shortage(const ClassCheck& check, std::int64_t outputs) {
  return fmt::format("the network has {} output{}, but the data have {} classes ({})", outputs,
                     outputs == 1 ? "" : "s", check.classes, check.data);
}

}  // namespace

void check_trained_outputs(const ClassCheck& check, const ModelTable& model, std::int64_t outputs) {
  if (told_apart(check.loss, outputs) >= check.classes) return;
  const Origin origin = origin_of(model, outputs, check.classes);
  throw Error("{}: {}; {}", origin.where, shortage(check, outputs), origin.cure);
}

void check_evaluated_outputs(const ClassCheck& check, std::int64_t outputs) {
  if (told_apart(check.loss, outputs) >= check.classes) return;
  throw Error("{}; evaluate it on the classes that it was trained for", shortage(check, outputs));
}

std::string spare_outputs_note(const ClassCheck& check, std::int64_t outputs) {
  if (check.loss == LossKind::kBinaryCrossEntropy) return "";
  if (told_apart(check.loss, outputs) <= std::max<std::int64_t>(check.classes, 2)) return "";
  return fmt::format(
      "outputs: the network has {}, the data have {} classes ({}); no row is ever of the others",
      outputs, check.classes, check.data);
}

}  // namespace lockstep
