// resnet18, resnet34, resnet50 (He, Zhang, Ren, Sun: "Deep residual learning for image
// recognition", 2015) as timm has them: the stride of a bottleneck lies in its 3 x 3 convolution
// ("v1.5"), the last batch norm of each block starts with gamma 0. Keys: those of image_network.h,
// and stem: "imagenet" is 7 x 7 of stride 2 and a max pooling, "cifar" 3 x 3 of stride 1 alone, for
// images of 32 pixels.
#include <array>

#include "models/image_network.h"
#include "models/layers/batch_norm.h"
#include "models/layers/drop_path.h"
#include "models/layers/linear.h"
#include "models/layers/norm_pool.h"
#include "models/layers/residual.h"

namespace lockstep {

namespace {

struct ResNetForm {
  const char* name;
  bool bottleneck;
  std::array<std::int64_t, 4> blocks;  // of each stage
  std::int64_t expansion() const { return bottleneck ? 4 : 1; }
  std::int64_t total_blocks() const { return blocks[0] + blocks[1] + blocks[2] + blocks[3]; }
};

constexpr ResNetForm kResNet18{"resnet18", false, {2, 2, 2, 2}};
constexpr ResNetForm kResNet34{"resnet34", false, {3, 4, 6, 3}};
constexpr ResNetForm kResNet50{"resnet50", true, {3, 4, 6, 3}};

struct Convolution {
  std::int64_t channels, kernel, stride;
};

// y = relu(branch(x) + x), where x passes through "downsample" if the shapes differ.
std::unique_ptr<UnaryLayer> make_block(const ResNetForm& form, std::int64_t in, std::int64_t width,
                                       std::int64_t stride, double drop_path) {
  const std::int64_t out = width * form.expansion();
  std::vector<Convolution> convolutions = {{width, 3, stride}, {width, 3, 1}};
  if (form.bottleneck) convolutions = {{width, 1, 1}, {width, 3, stride}, {out, 1, 1}};

  // Where whole samples are dropped, that happens between the last norm and the sum.
  const bool fused = drop_path == 0;
  auto branch = std::make_unique<Sequential>();
  std::unique_ptr<BatchNorm> closing_norm;
  for (std::size_t i = 0; i < convolutions.size(); ++i) {
    const auto [channels, kernel, conv_stride] = convolutions[i];
    const bool last = i + 1 == convolutions.size();
    branch->add_named<Conv2d>(fmt::format("conv{}", i + 1),
                              image_conv(channels, kernel, conv_stride));
    auto norm = std::make_unique<BatchNorm>(1e-5f, 0.1f, last ? 0.0f : 1.0f);
    if (!last) norm->end_with_relu();
    if (last && fused)
      closing_norm = std::move(norm);
    else
      branch->add(std::move(norm), fmt::format("bn{}", i + 1));
  }
  if (drop_path > 0) branch->add_named<DropPath>("drop_path", drop_path);

  std::unique_ptr<Sequential> downsample;
  if (stride != 1 || in != out) {
    downsample = std::make_unique<Sequential>();
    downsample->add(std::make_unique<Conv2d>(image_conv(out, 1, stride)));
    downsample->add(std::make_unique<BatchNorm>());
  }
  Residual::Branch main{std::move(branch), ""}, shortcut{std::move(downsample), "downsample"};
  auto block = std::make_unique<Sequential>();
  if (fused) {
    block->add_unscoped(std::make_unique<Residual>(std::move(main), std::move(shortcut),
                                                   std::move(closing_norm),
                                                   fmt::format("bn{}", convolutions.size())));
  } else {
    block->add_unscoped(std::make_unique<Residual>(std::move(main), std::move(shortcut)));
    block->add_named<ActivationLayer>("act", Activation::kRelu);
  }
  return block;
}

Network make_resnet(const ResNetForm& form, const ModelTable& keys, const NetworkInput& input) {
  auto network = std::make_unique<Sequential>();
  const ImageKeys image = begin_image_network(*network, keys, input, form.name);
  const std::string stem = read_choice(keys, "stem", {"imagenet", "cifar"});
  network->add_named<Conv2d>("conv1", stem == "cifar" ? image_conv(64, 3) : image_conv(64, 7, 2));
  if (stem == "imagenet") {
    network->add_unscoped(
        std::make_unique<NormMaxPool>("bn1", PoolOptions::square(3, 2, 1), "maxpool"), "bn1");
  } else {
    auto norm = std::make_unique<BatchNorm>();
    norm->end_with_relu();
    network->add(std::move(norm), "bn1");
  }

  std::int64_t channels = 64, number = 0;
  for (std::size_t stage = 0; stage < form.blocks.size(); ++stage) {
    const std::int64_t width = std::int64_t{64} << stage;
    auto blocks = std::make_unique<Sequential>();
    for (std::int64_t i = 0; i < form.blocks[stage]; ++i) {
      const double drop_path = image.drop_path * static_cast<double>(number++) /
                               static_cast<double>(form.total_blocks() - 1);
      blocks->add(make_block(form, channels, width, stage > 0 && i == 0 ? 2 : 1, drop_path));
      channels = width * form.expansion();
    }
    network->add(std::move(blocks), fmt::format("layer{}", stage + 1));
  }
  network->add_named<GlobalAvgPool2d>("global_pool");
  add_drop_rate(*network, image.drop_rate);
  network->add_named<Linear>("fc", input.outputs);
  return network;
}

}  // namespace

Network make_resnet18(const ModelTable& keys, const NetworkInput& input) {
  return make_resnet(kResNet18, keys, input);
}

Network make_resnet34(const ModelTable& keys, const NetworkInput& input) {
  return make_resnet(kResNet34, keys, input);
}

Network make_resnet50(const ModelTable& keys, const NetworkInput& input) {
  return make_resnet(kResNet50, keys, input);
}

}  // namespace lockstep
