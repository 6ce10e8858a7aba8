// A convolution's gradient that is added to another one gives the bits of both, added afterwards.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/cases/case_run.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

class AddedGradient : public testing::TestWithParam<Isa> {
 protected:
  AddedGradient()
      : backend_(make_cpu_backend(GetParam())),
        stream_(backend_->make_stream(0)),
        seed_(cases::test_seed()),
        random_(seed_) {
    std::printf("rerun with LOCKSTEP_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  Tensor values(const Shape& shape) {
    std::normal_distribution<float> normal;
    Tensor tensor = backend_->empty(shape, DType::kFloat32);
    for (float& value : tensor.span<float>()) value = normal(random_);
    return tensor;
  }

  void check(const ConvGeometry& g, std::int64_t most_images, std::int64_t images) {
    SCOPED_TRACE(fmt::format("{} of {} images {}x{}x{} to {}", images, most_images, g.in_h, g.in_w,
                             g.in_c, g.out_c));
    ASSERT_TRUE(backend_->conv_adds_gradient(g, most_images));
    const Shape in{images, g.in_h, g.in_w, g.in_c}, out{images, g.out_h(), g.out_w(), g.out_c};
    const Tensor x = values(in), dy = values(out), other_x = values(in), other_dy = values(out);
    const auto gradient = [&] { return backend_->empty({g.weight_elements()}, DType::kFloat32); };
    Tensor sum = gradient(), first = gradient(), second = gradient(), expected = gradient(), none;
    stream_->submit([&] {
      backend_->conv_backward_weights(*stream_, g, other_x, other_dy, false, sum, none);
      backend_->conv_backward_weights(*stream_, g, x, dy, true, sum, none);
      backend_->conv_backward_weights(*stream_, g, other_x, other_dy, false, first, none);
      backend_->conv_backward_weights(*stream_, g, x, dy, false, second, none);
      const TreeNode leaves[] = {{first, 1}, {second, 1}};
      backend_->tree_sum(*stream_, leaves, 1.0f, expected);
    });
    stream_->synchronize();
    EXPECT_EQ(std::memcmp(sum.raw(), expected.raw(), sum.bytes()), 0);
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  std::uint64_t seed_;
  std::mt19937_64 random_;
};

ConvGeometry square(std::int64_t size, std::int64_t in_c, std::int64_t out_c,
                    std::int64_t stride = 1) {
  return {.in_h = size,
          .in_w = size,
          .in_c = in_c,
          .out_c = out_c,
          .kernel_h = 3,
          .kernel_w = 3,
          .stride_h = stride,
          .stride_w = stride,
          .pad_h = 1,
          .pad_w = 1};
}

TEST_P(AddedGradient, ByTiles) {
  check(square(9, 33, 40), 40, 3);
  check(square(14, 80, 70), 40, 11);  // several blocks of tiles
  check(square(7, 16, 130), 4, 0);
}

TEST_P(AddedGradient, ByPixels) {
  check(square(1, 37, 70), 128, 128);
  check(square(2, 20, 33), 32, 5);
  check(square(4, 21, 34, 2), 8, 8);
}

TEST_P(AddedGradient, RefusedWhereSumsWouldBeRoundedOtherwise) {
  EXPECT_FALSE(backend_->conv_adds_gradient(square(1, 37, 70), 129));
  EXPECT_FALSE(backend_->conv_adds_gradient(square(9, 33, 40, 2), 1));
}

INSTANTIATE_TEST_SUITE_P(All, AddedGradient, testing::ValuesIn(runnable_isas()),
                         [](const auto& isa) { return std::string(name_of(isa.param)); });

}  // namespace
}  // namespace lockstep
