// layers: the network that [[model.layers]] lists, one table a layer (layer_kinds.h). Key: layers.
#include "models/layer_kinds.h"
#include "models/network.h"
#include "runtime/config/config_value.h"

namespace lockstep {

Network make_listed_layers(const ModelTable& keys, const NetworkInput& input) {
  const ConfigEntry* entry = keys.find("layers");
  if (entry == nullptr) throw Error("network 'layers' needs [[model.layers]], one table a layer");
  if (entry->value == ConfigValue{ConfigValue::Array{}})
    throw Error("{}: model.layers lists no layer", entry->where);
  return make_layers({entry->value, entry->where, "model.layers"}, input.outputs);
}

}  // namespace lockstep
