// convnext_tiny (Liu et al.: "A ConvNet for the 2020s", 2022) as timm has it: 7 x 7 depthwise
// convolutions, layer norm and linear layers over the channels of each place, layer scale from
// 1e-6. Keys: those of image_network.h.
#include <array>

#include "models/image_network.h"
#include "models/layers/drop_path.h"
#include "models/layers/layer_norm.h"
#include "models/layers/layer_scale.h"
#include "models/layers/linear.h"
#include "models/layers/pool.h"
#include "models/layers/residual.h"

namespace lockstep {

namespace {

constexpr std::array<std::int64_t, 4> kBlocks = {3, 3, 9, 3};
constexpr std::array<std::int64_t, 4> kChannels = {96, 192, 384, 768};
constexpr std::int64_t kTotalBlocks = kBlocks[0] + kBlocks[1] + kBlocks[2] + kBlocks[3];
constexpr float kEpsilon = 1e-6f;
constexpr double kGamma = 1e-6;

// torch's trunc_normal_(std = 0.02), whose bounds are numbers, not deviations.
Initializer first_weights() {
  return truncated_normal_values(0, 0.02, -2, 2);
}

Conv2dOptions conv(std::int64_t channels, std::int64_t kernel, std::int64_t stride,
                   std::int64_t pad, std::int64_t groups) {
  Conv2dOptions options = Conv2dOptions::square(channels, kernel, pad, stride);
  options.groups = groups;
  options.weight_values = [](const Shape&, std::int64_t) { return first_weights(); };
  options.bias_values = constant_values(0);
  return options;
}

LinearOptions linear(std::int64_t out) {
  return {.out = out,
          .each_place = true,
          .weight_values = first_weights(),
          .bias_values = constant_values(0)};
}

std::unique_ptr<UnaryLayer> make_block(std::int64_t channels, double drop_path) {
  auto mlp = std::make_unique<Sequential>();
  mlp->add_named<Linear>("fc1", linear(4 * channels));
  mlp->add_named<ActivationLayer>("act", Activation::kGelu);
  mlp->add_named<Linear>("fc2", linear(channels));
  auto layers = std::make_unique<Sequential>();
  layers->add_named<Conv2d>("conv_dw", conv(channels, 7, 1, 3, channels));
  layers->add_named<LayerNorm>("norm", kEpsilon);
  layers->add(std::move(mlp), "mlp");

  auto branch = std::make_unique<Sequential>();
  branch->add_unscoped(std::make_unique<LayerScale>(std::move(layers), channels, kGamma));
  if (drop_path > 0) branch->add_named<DropPath>("drop_path", drop_path);
  return std::make_unique<Residual>(Residual::Branch{std::move(branch), ""},
                                    Residual::Branch{nullptr, ""});
}

}  // namespace

Network make_convnext_tiny(const ModelTable& keys, const NetworkInput& input) {
  auto network = std::make_unique<Sequential>();
  const ImageKeys image = begin_image_network(*network, keys, input, "convnext_tiny");
  auto stem = std::make_unique<Sequential>();
  stem->add(std::make_unique<Conv2d>(conv(kChannels[0], 4, 4, 0, 1)));
  stem->add(std::make_unique<LayerNorm>(kEpsilon));
  network->add(std::move(stem), "stem");

  auto stages = std::make_unique<Sequential>();
  std::int64_t number = 0;
  for (std::size_t s = 0; s < kBlocks.size(); ++s) {
    auto stage = std::make_unique<Sequential>();
    if (s > 0) {
      auto downsample = std::make_unique<Sequential>();
      downsample->add(std::make_unique<LayerNorm>(kEpsilon));
      downsample->add(std::make_unique<Conv2d>(conv(kChannels[s], 2, 2, 0, 1)));
      stage->add(std::move(downsample), "downsample");
    }
    auto blocks = std::make_unique<Sequential>();
    for (std::int64_t i = 0; i < kBlocks[s]; ++i) {
      const double drop_path =
          image.drop_path * static_cast<double>(number++) / static_cast<double>(kTotalBlocks - 1);
      blocks->add(make_block(kChannels[s], drop_path));
    }
    stage->add(std::move(blocks), "blocks");
    stages->add(std::move(stage));
  }
  network->add(std::move(stages), "stages");

  network->add_named<GlobalAvgPool2d>("global_pool");
  auto head = std::make_unique<Sequential>();
  head->add_named<LayerNorm>("norm", kEpsilon);
  add_drop_rate(*head, image.drop_rate);
  head->add_named<Linear>("fc", linear(input.outputs));
  network->add(std::move(head), "head");
  return network;
}

}  // namespace lockstep
