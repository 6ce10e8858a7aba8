// Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019) over the rows of one shard, as timm's
// Mixup does in its mode "elem": every row has a share of its own, drawn from Beta(alpha, alpha),
// and a partner, here the next one in a random cycle through the shard's rows. Targets are mixed by
// the same share; labels become class probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "io/augment/resample.h"
#include "io/augment/sample_random.h"
#include "kernels/core/tensor.h"

namespace lockstep {

// Where both are listed, each row takes one of them, with equal chances; then with its own p.
struct MixOptions {
  double mixup_alpha = 0, cutmix_alpha = 0;  // 0: not listed
  double mixup_p = 1, cutmix_p = 1;
  bool any() const { return mixup_alpha > 0 || cutmix_alpha > 0; }
};

// Beta(alpha, alpha), 0 < alpha <= 1000.
double draw_beta(SampleRandom& random, double alpha);

// For each of `rows` the row it is mixed with: a cycle through all of them (Sattolo 1986), so that
// no row is its own partner unless it is alone.
void draw_partners(SampleRandom random, std::span<std::int32_t> partners);

// How one row is mixed.
struct Mix {
  std::int32_t share = kWhole;  // of the row itself, in 1/32768
  bool cut = false;             // cutmix: `box` is the partner's; else all pixels are averaged
  PixelBox box;
  static constexpr std::int32_t kWhole = 32768;
};

// `image`: (H, W, C); of other shapes, which cutmix does not take, no box is drawn.
Mix draw_mix(SampleRandom random, const MixOptions& options, const Shape& image);

// own and partner: one sample's elements each; uint8 rounds to the nearest.
void mix_elements(const Mix& mix, const Shape& sample, DType type, const std::byte* own,
                  const std::byte* partner, std::byte* out);

}  // namespace lockstep
