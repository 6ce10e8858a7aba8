#include "io/augment/mixing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/core/portable_math.h"

namespace lockstep {

namespace {

// torch's randint for the middle, then timm's rand_bbox: a box of the share 1 - λ whose overhang is
// cut off.
PixelBox draw_box(SampleRandom& random, double share, std::int64_t height, std::int64_t width) {
  const double side = std::sqrt(1 - share);
  const auto box_height = static_cast<std::int64_t>(static_cast<double>(height) * side);
  const auto box_width = static_cast<std::int64_t>(static_cast<double>(width) * side);
  const std::int64_t y = random.below(height), x = random.below(width);
  const std::int64_t top = std::clamp<std::int64_t>(y - box_height / 2, 0, height);
  const std::int64_t left = std::clamp<std::int64_t>(x - box_width / 2, 0, width);
  return {top, left, std::clamp<std::int64_t>(y + box_height / 2, 0, height) - top,
          std::clamp<std::int64_t>(x + box_width / 2, 0, width) - left};
}

std::int32_t in_parts(double share) {
  return static_cast<std::int32_t>(std::nearbyint(share * Mix::kWhole));
}

void average(std::int32_t share, const std::uint8_t* own, const std::uint8_t* partner,
             std::int64_t count, std::uint8_t* out) {
  const std::int32_t rest = Mix::kWhole - share;
  for (std::int64_t i = 0; i < count; ++i)
    out[i] = static_cast<std::uint8_t>((own[i] * share + partner[i] * rest + Mix::kWhole / 2) /
                                       Mix::kWhole);
}

void average(std::int32_t share, const float* own, const float* partner, std::int64_t count,
             float* out) {
  const float first = static_cast<float>(share) / Mix::kWhole, second = 1.0f - first;
  for (std::int64_t i = 0; i < count; ++i) {
    const float a = first * own[i], b = second * partner[i];
    out[i] = a + b;
  }
}

}  // namespace

// alpha below 1: Jöhnk 1964, x / (x + y) for x = u^(1/alpha), y = v^(1/alpha) given x + y <= 1, in
// logarithms. Else rejection from the uniform distribution: the density's share of its peak is
// (4 x (1 - x))^(alpha - 1), so that about √(alpha) draws are needed.
double draw_beta(SampleRandom& random, double alpha) {
  while (alpha < 1) {
    const double log_x = natural_log(random.unit()) / alpha;
    const double log_y = natural_log(random.unit()) / alpha;
    const double most = std::max(log_x, log_y);
    const double x = exponential(log_x - most), y = exponential(log_y - most);
    if (most + natural_log(x + y) <= 0) return x / (x + y);
  }
  for (;;) {
    const double x = random.unit();
    if (natural_log(random.unit()) <= (alpha - 1) * natural_log(4 * x * (1 - x))) return x;
  }
}

void draw_partners(SampleRandom random, std::span<std::int32_t> partners) {
  std::iota(partners.begin(), partners.end(), 0);
  for (std::size_t i = partners.size(); i-- > 1;)
    std::swap(partners[i],
              partners[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i)))]);
}

Mix draw_mix(SampleRandom random, const MixOptions& options, const Shape& image) {
  const bool both = options.mixup_alpha > 0 && options.cutmix_alpha > 0;
  Mix mix;
  mix.cut = both ? random.chance(0.5) : options.cutmix_alpha > 0;
  if (!random.chance(mix.cut ? options.cutmix_p : options.mixup_p)) return {};
  const double share = draw_beta(random, mix.cut ? options.cutmix_alpha : options.mixup_alpha);
  if (!mix.cut) {
    mix.share = in_parts(share);
    return mix;
  }
  mix.box = draw_box(random, share, image[0], image[1]);
  const auto box = static_cast<double>(mix.box.height * mix.box.width);
  mix.share = in_parts(1 - box / static_cast<double>(image[0] * image[1]));
  return mix;
}

void mix_elements(const Mix& mix, const Shape& sample, DType type, const std::byte* own,
                  const std::byte* partner, std::byte* out) {
  const std::int64_t count = sample.elements();
  if (mix.cut) {
    std::memcpy(out, own, static_cast<std::size_t>(count) * size_of(type));
    const std::size_t pixel = static_cast<std::size_t>(sample[2]) * size_of(type);
    for (std::int64_t y = mix.box.top; y < mix.box.top + mix.box.height; ++y) {
      const std::size_t at = static_cast<std::size_t>(y * sample[1] + mix.box.left) * pixel;
      std::memcpy(out + at, partner + at, static_cast<std::size_t>(mix.box.width) * pixel);
    }
  } else if (type == DType::kUInt8) {
    average(mix.share, reinterpret_cast<const std::uint8_t*>(own),
            reinterpret_cast<const std::uint8_t*>(partner), count,
            reinterpret_cast<std::uint8_t*>(out));
  } else {
    average(mix.share, reinterpret_cast<const float*>(own), reinterpret_cast<const float*>(partner),
            count, reinterpret_cast<float*>(out));
  }
}

}  // namespace lockstep
