#include "launch/networks.h"

#include <algorithm>

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

}  // namespace lockstep
