// What follows finished sums, tile by tile: batch norm by constant statistics, a residual, an
// activation, with the bits that the operations have one by one.
#include "kernels/cpu/simd/activations.h"
#include "kernels/cpu/simd/tables.h"
#include "kernels/cpu/tile_epilogue.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

// One vector of channels over all rows; `lanes` of it exist.
template <V (*kActivation)(V, V), bool kTail>
LOCKSTEP_INLINE void apply_column(const TileEpilogue& e, float* tile, const float* residual,
                                  std::int64_t channel, std::int64_t rows, std::int64_t row_stride,
                                  int lanes) {
  const auto load_some = [=](const float* p) __attribute__((always_inline)) {
    return kTail ? load(p, lanes) : load(p);
  };
  const bool norm = e.mean != nullptr;
  const V mean = norm ? load_some(e.mean + channel) : set1(0.0f);
  const V factor = norm ? load_some(e.factor + channel) : mean;
  const V shift = norm ? load_some(e.shift + channel) : mean;
  const V parameter = set1(e.parameter);
  for (std::int64_t row = 0; row < rows; ++row, tile += row_stride) {
    V value = load_some(tile);
    if (norm) value = fma(sub(value, mean), factor, shift);
    if (residual) value = add(value, load_some(residual + row * row_stride));
    value = kActivation(value, parameter);
    if (kTail) {
      store(tile, value, lanes);
    } else {
      store(tile, value);
    }
  }
}

template <V (*kActivation)(V, V)>
void apply(const TileEpilogue& e, float* tile, std::int64_t rows, std::int64_t row_stride,
           std::int64_t columns) {
  const std::int64_t place = tile - e.output, channel = place % e.channels;
  const float* const residual = e.residual ? e.residual + place : nullptr;
  std::int64_t c = 0;
  for (; c + kWidth <= columns; c += kWidth)
    apply_column<kActivation, false>(e, tile + c, residual ? residual + c : nullptr, channel + c,
                                     rows, row_stride, kWidth);
  if (c < columns)
    apply_column<kActivation, true>(e, tile + c, residual ? residual + c : nullptr, channel + c,
                                    rows, row_stride, static_cast<int>(columns - c));
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
