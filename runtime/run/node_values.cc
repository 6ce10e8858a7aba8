#include "runtime/run/node_values.h"

#include "runtime/communication/agreement.h"

namespace lockstep {

NodeValues::NodeValues(Team& team, const std::function<void(float* values)>& fill) {
  const std::int64_t elements = team.params().elements();
  host_ = team.communicator().node_memory(static_cast<std::size_t>(elements) * sizeof(float));
  auto* const values = reinterpret_cast<float*>(host_.bytes.data());
  team.bind_values(values);
  together(team.communicator(), [&] {
    if (host_.fill_here) fill(values);
  });
  Backend& backend = team.backend();
  if (backend.memory_is_host()) return;
  device_ = backend.empty({elements});
  backend.copy(backend.borrow(values, {elements}), device_);
  team.bind_values(device_.data<float>());
  host_ = {};
}

}  // namespace lockstep
