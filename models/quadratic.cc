// quadratic: y = a x² + b x + c with the parameters "a", "b", "c". No keys.
#include "models/layers/polynomial.h"
#include "models/network.h"

namespace lockstep {

Network make_quadratic(const ModelTable&, const NetworkInput&) {
  auto network = std::make_unique<Sequential>();
  network->add_unscoped(std::make_unique<Quadratic>());
  return network;
}

}  // namespace lockstep
