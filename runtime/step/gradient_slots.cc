#include "runtime/step/gradient_slots.h"

#include "kernels/core/memory_use.h"

namespace lockstep {

Tensor GradientSlots::take(Backend& backend, const Shape& shape) {
  const std::size_t slot = find(backend, shape.elements(), busy_);
  taken_.push_back(slot);
  busy_ = {slot};
  return slots_[slot].slice(0, shape.elements()).view(shape);
}

Tensor GradientSlots::take_apart(Backend& backend, const Shape& shape, std::size_t mark) {
  Slots refused = since(mark);
  refused.insert(busy_.begin(), busy_.end());
  const std::size_t slot = find(backend, shape.elements(), refused);
  taken_.push_back(slot);
  busy_.insert(slot);
  return slots_[slot].slice(0, shape.elements()).view(shape);
}

// The smallest that is large enough, or a new one.
std::size_t GradientSlots::find(Backend& backend, std::int64_t elements, const Slots& refused) {
  std::size_t best = slots_.size();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].elements() < elements || refused.contains(i) || held_.contains(i)) continue;
    if (best == slots_.size() || slots_[i].elements() < slots_[best].elements()) best = i;
  }
  if (best < slots_.size()) return best;
  const MemoryUse use("activation gradients");
  slots_.push_back(backend.empty({elements}, backend.activation_type()));
  return best;
}

GradientSlots::Slots GradientSlots::since(std::size_t mark) const {
  return {taken_.begin() + static_cast<std::ptrdiff_t>(mark), taken_.end()};
}

GradientSlots::Slots GradientSlots::first_since(std::size_t mark) const {
  return mark < taken_.size() ? Slots{taken_[mark]} : Slots{};
}

GradientSlots::Hold::Hold(GradientSlots& slots, Slots held) : slots_(slots), before_(slots.held_) {
  slots_.held_.merge(held);
}

std::size_t GradientSlots::bytes() const {
  std::size_t bytes = 0;
  for (const Tensor& slot : slots_) bytes += slot.bytes();
  return bytes;
}

}  // namespace lockstep
