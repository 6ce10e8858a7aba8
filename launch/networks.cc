#include "launch/networks.h"

#include "models/zoo.h"

namespace lockstep {

NetworkFactory zoo_networks() {
  return [](const Config& config, const Shape& sample,
            std::int64_t outputs) -> std::unique_ptr<Layer> {
    return make_network(config.model.network, config.model.table, {sample, outputs});
  };
}

}  // namespace lockstep
