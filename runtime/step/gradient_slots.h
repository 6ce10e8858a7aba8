// GradientSlots: memory for the gradients that flow from layer to layer in backward. A layer writes
// its dx, the layer before reads it as dy, and then nobody does, so a chain of layers needs two
// slots in turn, not one a layer. Layers ask while they are built, in forward order; what may not
// share memory follows from the order of backward, its reverse.
#pragma once

#include <set>
#include <vector>

#include "kernels/backend.h"

namespace lockstep {

class GradientSlots {
 public:
  using Slots = std::set<std::size_t>;

  // For the dx of the next layer in a chain: not the slot in which the layer before it will write
  // while it reads this one, nor one that is held.
  Tensor take(Backend& backend, const Shape& shape);
  // For a copy of dy that lives while everything taken since the mark runs.
  Tensor take_apart(Backend& backend, const Shape& shape, std::size_t mark);

  // For layers with branches, which run in turn: what the next layer may not take.
  const Slots& busy() const { return busy_; }
  void set_busy(Slots busy) { busy_ = std::move(busy); }
  std::size_t mark() const { return taken_.size(); }
  // The slots that were taken since; the first of them holds the branch's dx in the end.
  Slots since(std::size_t mark) const;
  Slots first_since(std::size_t mark) const;  // one or none

  // Nobody takes these while it lives.
  class Hold {
   public:
    Hold(GradientSlots& slots, Slots held);
    ~Hold() { slots_.held_ = std::move(before_); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    GradientSlots& slots_;
    Slots before_;
  };

  std::size_t bytes() const;  // of all slots

 private:
  std::size_t find(Backend& backend, std::int64_t elements, const Slots& refused);

  std::vector<Tensor> slots_;       // flat
  std::vector<std::size_t> taken_;  // in the order of asking
  Slots busy_, held_;
};

}  // namespace lockstep
