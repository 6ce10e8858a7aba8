#include "launch/networks.h"

#include <algorithm>

#include "models/initial_values.h"
#include "models/weights.h"

namespace lockstep {

Networks all_networks(std::vector<NetworkEntry> own) {
  std::vector<std::string_view> taken;
  for (const NetworkEntry& entry : networks()) taken.push_back(entry.name);
  for (const NetworkEntry& entry : own) {
    if (std::find(taken.begin(), taken.end(), entry.name) != taken.end())
      throw Error("there is a network '{}' already; give yours another name", entry.name);
    taken.push_back(entry.name);
  }
  Networks all;
  all.help = networks_help(own);
  all.make = [own = std::move(own)](const Config& config, const Shape& sample,
                                    std::int64_t outputs) -> std::unique_ptr<Layer> {
    return make_network(config.model.network, config.model.table, {sample, outputs}, own);
  };
  return all;
}

std::vector<std::string> set_initial_weights(const Config& config, ParamSet& params,
                                             Backend& backend) {
  std::vector<std::string> notes;
  if (!config.model.weights.empty()) {
    const std::string& file = config.model.weights;
    notes.push_back("initial weights: " + file);
    for (const std::string& line : read_weights(file, backend, params, HeadPolicy::kMayDiffer))
      notes.push_back("  " + line);
  }
  set_initial_values(backend, params, config.model.initial);
  for (const auto& [name, value] : config.model.initial)
    notes.push_back(fmt::format("initial value of '{}': from the config", name));
  return notes;
}

}  // namespace lockstep
