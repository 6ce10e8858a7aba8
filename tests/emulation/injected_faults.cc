#include "tests/emulation/injected_faults.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "kernels/cuda/gpu.h"

namespace lockstep::emulation {

namespace {

struct Order {
  std::string kind;  // "": none
  std::int64_t place = 0;
};

Order order_from_environment() {
  const char* const text = std::getenv("EMULATED_FAULT");
  if (text == nullptr) return {};
  Order order;
  std::istringstream words(text);
  if (!(words >> order.kind >> order.place) || (order.kind != "kernel" && order.kind != "memory"))
    throw Error("EMULATED_FAULT is '{}', not \"kernel N\" or \"memory N\"", text);
  return order;
}

const Order& order() {
  static const Order order = order_from_environment();
  return order;
}

std::atomic<std::int64_t> work_begun = 0;

}  // namespace

void begin_work() {
  const std::int64_t place = ++work_begun;
  if (order().kind == "kernel" && place == order().place)
    throw Error(
        "CUDA error 700 (an illegal memory access was encountered): piece {} of the emulated "
        "GPU's work, as ordered",
        place);
}

std::int64_t work_done() {
  return work_begun;
}

void begin_allocation(std::size_t bytes) {
  if (order().kind == "memory" && work_begun >= order().place)
    throw gpu::NoMemory("{} bytes of the emulated GPU's are not there, as ordered", bytes);
}

}  // namespace lockstep::emulation
