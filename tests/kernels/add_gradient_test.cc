// A convolution's weight gradient that is added to another one gives the bits of both, added
// afterwards; a data gradient that is added differs by rounding at most.
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

  void check_data(const ConvGeometry& g, std::int64_t images) {
    SCOPED_TRACE(fmt::format("{} images {}x{}x{} to {}", images, g.in_h, g.in_w, g.in_c, g.out_c));
    const Shape in{images, g.in_h, g.in_w, g.in_c};
    const Tensor dy = values({images, g.out_h(), g.out_w(), g.out_c}),
                 w = values({g.weight_elements()}), other = values(in);
    Tensor dx = backend_->empty(in, DType::kFloat32), sum = backend_->empty(in, DType::kFloat32);
    Tensor packed = backend_->empty({backend_->conv_packed_elements(g, true)}, DType::kFloat32);
    stream_->submit([&] {
      if (packed.elements() > 0) backend_->conv_pack(*stream_, g, true, w, packed);
      backend_->copy(other, sum);
      backend_->conv_backward_data(*stream_, g, dy, w, packed, false, dx);
      backend_->conv_backward_data(*stream_, g, dy, w, packed, true, sum);
    });
    stream_->synchronize();
    for (std::int64_t i = 0; i < in.elements(); ++i)
      ASSERT_NEAR(sum.data<float>()[i], other.data<float>()[i] + dx.data<float>()[i], 1e-3) << i;
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

TEST_P(AddedGradient, OfTheData) {
  check_data(square(9, 33, 40), 2);     // tiles; channels that fill no vector
  check_data(square(2, 20, 33), 5);     // pixels
  check_data(square(9, 33, 40, 2), 2);  // parts of a stride
  ConvGeometry g = square(8, 70, 150);
  g.kernel_h = g.kernel_w = 1, g.pad_h = g.pad_w = 0;
  check_data(g, 3);
  g.stride_h = g.stride_w = 2;  // pixels that no window reads
  check_data(g, 3);
  g = square(9, 35, 35, 2);
  g.groups = 35;
  check_data(g, 2);
}

TEST_P(AddedGradient, RefusedWhereSumsWouldBeRoundedOtherwise) {
  EXPECT_FALSE(backend_->conv_adds_gradient(square(1, 37, 70), 129));
  EXPECT_FALSE(backend_->conv_adds_gradient(square(9, 33, 40, 2), 1));
}

INSTANTIATE_TEST_SUITE_P(All, AddedGradient, testing::ValuesIn(runnable_isas()),
                         [](const auto& isa) { return std::string(name_of(isa.param)); });

}  // namespace
}  // namespace lockstep
