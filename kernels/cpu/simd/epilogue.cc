// What follows finished sums, tile by tile: batch norm by constant statistics, a residual, an
// activation, with the bits that the operations have one by one.
#include <type_traits>

#include "kernels/cpu/simd/activations.h"
#include "kernels/cpu/simd/tables.h"
#include "kernels/cpu/tile_epilogue.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

// One vector of channels over all rows; `lanes` of it exist.
template <V (*kActivation)(V, V), bool kTail>
LOCKSTEP_INLINE void apply_column(const TileEpilogue& e, TileRows<const float> sums,
                                  TileRows<float> tile, const float* residual, std::int64_t channel,
                                  std::int64_t rows, int lanes) {
  const auto load_some = [=](const float* p) __attribute__((always_inline)) {
    return kTail ? load(p, lanes) : load(p);
  };
  const bool norm = e.mean != nullptr;
  const V mean = norm ? load_some(e.mean + channel) : set1(0.0f);
  const V factor = norm ? load_some(e.factor + channel) : mean;
  const V shift = norm ? load_some(e.shift + channel) : mean;
  const V parameter = set1(e.parameter);
  for (std::int64_t row = 0; row < rows; ++row) {
    V value = load_some(sums.data + row * sums.stride);
    if (norm) value = fma(sub(value, mean), factor, shift);
    if (residual) value = add(value, load_some(residual + row * tile.stride));
    value = kActivation(value, parameter);
    float* const to = tile.data + row * tile.stride;
    if (kTail) {
      store(to, value, lanes);
    } else {
      store(to, value);
    }
  }
}

template <V (*kActivation)(V, V)>
void apply(const TileEpilogue& e, TileRows<const float> sums, TileRows<float> tile,
           std::int64_t rows, std::int64_t columns) {
  const std::int64_t place = tile.data - e.output, channel = place % e.channels;
  const float* const residual = e.residual ? e.residual + place : nullptr;
  const auto column = [&](auto is_tail, std::int64_t c, int lanes) __attribute__((always_inline)) {
    apply_column<kActivation, is_tail>(e, {sums.data + c, sums.stride},
                                       {tile.data + c, tile.stride},
                                       residual ? residual + c : nullptr, channel + c, rows, lanes);
  };
  std::int64_t c = 0;
  for (; c + kWidth <= columns; c += kWidth) column(std::false_type{}, c, kWidth);
  if (c < columns) column(std::true_type{}, c, static_cast<int>(columns - c));
}

}  // namespace

const EpilogueKernels kEpilogueKernels = {
    .none = apply<no_activation>,
    .relu = apply<relu_of>,
    .sigmoid = apply<sigmoid_of>,
    .tanh = apply<tanh_of>,
    .leaky_relu = apply<leaky_relu_of>,
    .elu = apply<elu_of>,
    .gelu = apply<gelu_of>,
    .gelu_tanh = apply<gelu_tanh_of>,
    .silu = apply<silu_of>,
};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
