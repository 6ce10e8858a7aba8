// efficientnet_b0 (Tan, Le: "EfficientNet: rethinking model scaling for convolutional neural
// networks", 2019) as timm has it: padding on both sides alike, SiLU, squeeze-and-excitation, the
// weights of TensorFlow's first values. Keys: those of image_network.h.
#include <cmath>

#include "models/image_network.h"
#include "models/layers/batch_norm.h"
#include "models/layers/drop_path.h"
#include "models/layers/linear.h"
#include "models/layers/pool.h"
#include "models/layers/residual.h"
#include "models/layers/squeeze_excitation.h"

namespace lockstep {

namespace {

struct StageForm {
  std::int64_t repeats, kernel, stride, expansion, channels;
};

constexpr StageForm kStages[] = {{1, 3, 1, 1, 16}, {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40},
                                 {3, 3, 2, 6, 80}, {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192},
                                 {1, 3, 1, 6, 320}};
constexpr std::int64_t kStemChannels = 32, kHeadChannels = 1280;

// A convolution, its batch norm and SiLU.
void add_unit(Sequential& network, const std::string& conv, const std::string& norm,
              const Conv2dOptions& options) {
  network.add_named<Conv2d>(conv, options);
  network.add_named<BatchNorm>(norm);
  network.add_named<ActivationLayer>(norm + "_act", Activation::kSilu);
}

// Depthwise convolution between two 1 x 1; the first block widens nothing and has no first one.
std::unique_ptr<UnaryLayer> make_block(const StageForm& stage, std::int64_t in, std::int64_t stride,
                                       double drop_path) {
  const std::int64_t width = in * stage.expansion, squeezed = (in + 2) / 4;  // in / 4, rounded
  auto block = std::make_unique<Sequential>();
  int norms = 0;
  const auto norm = [&] { return fmt::format("bn{}", ++norms); };
  const bool widens = stage.expansion > 1;
  if (widens) add_unit(*block, "conv_pw", norm(), image_conv(width, 1));
  add_unit(*block, "conv_dw", norm(), image_conv(width, stage.kernel, stride, width));
  block->add_named<SqueezeExcitation>("se", squeezed);
  block->add_named<Conv2d>(widens ? "conv_pwl" : "conv_pw", image_conv(stage.channels, 1));
  block->add_named<BatchNorm>(norm());
  if (stride != 1 || in != stage.channels) return block;
  if (drop_path > 0) block->add_named<DropPath>("drop_path", drop_path);
  return std::make_unique<Residual>(Residual::Branch{std::move(block), ""},
                                    Residual::Branch{nullptr, ""});
}

}  // namespace

Network make_efficientnet_b0(const ModelTable& keys, const NetworkInput& input) {
  auto network = std::make_unique<Sequential>();
  const ImageKeys image = begin_image_network(*network, keys, input, "efficientnet_b0");
  add_unit(*network, "conv_stem", "bn1", image_conv(kStemChannels, 3, 2));

  std::int64_t total = 0, number = 0, channels = kStemChannels;
  for (const StageForm& stage : kStages) total += stage.repeats;
  auto stages = std::make_unique<Sequential>();
  for (const StageForm& stage : kStages) {
    auto blocks = std::make_unique<Sequential>();
    for (std::int64_t i = 0; i < stage.repeats; ++i) {
      const double drop_path =
          image.drop_path * static_cast<double>(number++) / static_cast<double>(total);
      blocks->add(make_block(stage, channels, i == 0 ? stage.stride : 1, drop_path));
      channels = stage.channels;
    }
    stages->add(std::move(blocks));
  }
  network->add(std::move(stages), "blocks");

  add_unit(*network, "conv_head", "bn2", image_conv(kHeadChannels, 1));
  network->add_named<GlobalAvgPool2d>("global_pool");
  add_drop_rate(*network, image.drop_rate);
  const double bound = 1 / std::sqrt(static_cast<double>(input.outputs));
  network->add_named<Linear>("classifier",
                             LinearOptions{.out = input.outputs,
                                           .weight_values = uniform_values(-bound, bound),
                                           .bias_values = constant_values(0)});
  return network;
}

}  // namespace lockstep
