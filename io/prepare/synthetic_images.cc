// Images of random bytes, 16 to a block of Philox.
#include <algorithm>
#include <cmath>

#include "io/prepare/synthetic.h"
#include "io/prepare/synthetic_random.h"
#include "io/prepare/synthetic_rows.h"

namespace lockstep {
namespace {

constexpr std::int64_t kBytesPerBlock = 16;

std::uint32_t byte_of(const PhiloxBlock& block, std::int64_t i) {
  return block[static_cast<std::size_t>(i / 4)] >> (8 * (i % 4)) & 0xFF;
}

Shape image_shape(const std::vector<std::int64_t>& sizes) {
  if (sizes.empty() || sizes.size() >= static_cast<std::size_t>(Shape::kMaxRank))
    throw Error("--shape {}: one to {} sizes are needed, as 32,32,3", fmt::join(sizes, ","),
                Shape::kMaxRank - 1);
  for (const std::int64_t size : sizes)
    if (size < 1) throw Error("--shape {}: sizes must be positive", fmt::join(sizes, ","));
  // Grey images of uint8 carry their one channel, as every image does that lockstep writes.
  return sizes.size() == 2 ? Shape{sizes[0], sizes[1], 1} : Shape(sizes);
}

}  // namespace

void prepare_images(const ImagesOptions& options, const PrepareOptions& common) {
  check_at_least("--classes", options.classes, 1);
  check_at_least("--rows", options.rows, options.classes);
  check_noise(options.noise, 1);
  const Draws own(common.seed, SyntheticStream::kInput),
      of_class(common.seed, SyntheticStream::kRule);
  const auto share = static_cast<std::uint32_t>(std::lround(options.noise * 256));
  SyntheticRows data{.kind = "images",
                     .details = fmt::format("noise {}", options.noise),
                     .rows = options.rows,
                     .sample = image_shape(options.shape),
                     .x_type = DType::kUInt8,
                     .classes = numbered("", options.classes)};
  const std::int64_t elements = data.sample.elements();
  data.fill = [=](std::int64_t row, std::byte* x, std::byte* y) {
    const std::int64_t label = row % options.classes;
    *reinterpret_cast<std::int64_t*>(y) = label;
    for (std::int64_t begin = 0; begin < elements; begin += kBytesPerBlock) {
      const PhiloxBlock random = own.block(row, begin / kBytesPerBlock);
      PhiloxBlock pattern{};
      if (share < 256) pattern = of_class.block(label, begin / kBytesPerBlock);
      for (std::int64_t i = 0; i < std::min(kBytesPerBlock, elements - begin); ++i)
        x[begin + i] = static_cast<std::byte>(
            (byte_of(pattern, i) * (256 - share) + byte_of(random, i) * share) >> 8);
    }
  };
  write_synthetic(data, common);
}

}  // namespace lockstep
