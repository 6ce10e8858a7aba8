// Maxout: the largest of the pieces of a row, channel by channel; lanes are channels.
#include "kernels/cpu/simd.h"
#include "kernels/cpu/simd/tables.h"

namespace lockstep::cpu::LOCKSTEP_ISA {

namespace {

void forward(const float* x, std::int64_t rows, std::int64_t pieces, std::int64_t channels,
             float* y, std::uint8_t* piece) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* from = x + row * pieces * channels;
    for (std::int64_t c = 0; c < channels; c += kWidth) {
      const int n = channels - c < kWidth ? static_cast<int>(channels - c) : kWidth;
      V best = load(from + c, n), winner = set1(0.0f);
      for (std::int64_t k = 1; k < pieces; ++k) {
        const V v = load(from + k * channels + c, n);
        // Greater, or the first NaN: "not <=" holds for both, and nothing replaces a NaN.
        const M wins = mask_and(mask_not(less_equal(v, best)), equal(best, best));
        best = select(wins, v, best);
        winner = select(wins, set1(static_cast<float>(k)), winner);
      }
      store(y + row * channels + c, best, n);
      store_u8(piece + row * channels + c, winner, n);
    }
  }
}

void backward(const float* dy, const std::uint8_t* piece, std::int64_t rows, std::int64_t pieces,
              std::int64_t channels, float* dx) {
  const V zero = set1(0.0f);
  for (std::int64_t row = 0; row < rows; ++row) {
    float* to = dx + row * pieces * channels;
    for (std::int64_t c = 0; c < channels; c += kWidth) {
      const int n = channels - c < kWidth ? static_cast<int>(channels - c) : kWidth;
      const V d = load(dy + row * channels + c, n);
      const V winner = load_u8(piece + row * channels + c, n);
      for (std::int64_t k = 0; k < pieces; ++k)
        store(to + k * channels + c, select(equal(winner, set1(static_cast<float>(k))), d, zero),
              n);
    }
  }
}

}  // namespace

const MaxoutKernels kMaxoutKernels = {forward, backward};

}  // namespace lockstep::cpu::LOCKSTEP_ISA
