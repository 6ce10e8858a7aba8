// Products with bfloat16 operands, in both forms: every case of linear layers and convolutions
// within its float32 tolerance of the double reference of the rounded operands, slopes included;
// rounding is to nearest even; random shapes.
#include <gtest/gtest.h>

#include <random>

#include "kernels/cases/case_run.h"
#include "kernels/cases/op_list.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep::cases {
namespace {

bool multiplies(const OpCase& c) {
  for (const char* operation : {"linear_forward", "linear_backward_data", "linear_backward_weights",
                                "conv_forward", "conv_backward_data", "conv_backward_weights"})
    if (c.operation == operation) return true;
  return false;
}

std::string why_not() {  // "" where this processor has the instructions
  try {
    bfloat16_products(Isa::kAvx512);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

OutputBytes outputs_of(Backend& backend, const OpCase& c, const Values& values,
                       const Placement& placement = {}) {
  CaseRun run(backend, c, values, placement);
  run.run();
  return run.collect();
}

class BFloat16Test : public testing::TestWithParam<Products> {
 protected:
  void SetUp() override {
    if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
    float32_ = make_cpu_backend(Isa::kAvx512);
    bfloat16_ = make_cpu_backend(Isa::kAvx512, GetParam());
  }
  const std::uint64_t seed_ = test_seed();
  std::unique_ptr<Backend> float32_, bfloat16_;
};

// What is no rounded product is float32 to the bit: Winograd's and depthwise convolutions.
TEST_P(BFloat16Test, RoundsToNearestEvenOrNotAtAll) {
  SCOPED_TRACE(fmt::format("rerun with LOCKSTEP_TEST_SEED={}", seed_));
  int rounded = 0, exact = 0;
  for (const OpCase& c : all_cases()) {
    if (!multiplies(c) || c.use == Use::kBenchmark) continue;
    const Values values = make_values(c, seed_);
    const Values rounded_values = with_bfloat16_operands(c, values);
    const OutputBytes got = outputs_of(*bfloat16_, c, values),
                      of_rounded = outputs_of(*bfloat16_, c, rounded_values),
                      of_float32 = outputs_of(*float32_, c, values),
                      float32_of_rounded = outputs_of(*float32_, c, rounded_values);
    for (const auto& [name, bytes] : got) {
      if (name == "dbias") {  // a sum, no product
        EXPECT_EQ(bytes, of_float32[name]) << c.name();
      } else if (bytes == of_float32[name]) {
        ++exact;
      } else {
        EXPECT_EQ(bytes, of_rounded[name]) << c.name();
        if (GetParam() == Products::kBFloat16Fma) {
          EXPECT_EQ(bytes, float32_of_rounded[name]) << c.name();
        }
        ++rounded;
      }
    }
  }
  EXPECT_GT(rounded, 30);
  EXPECT_GT(exact, 5);
}

// Positive terms, so that the float32 product of the rounded operands is near relative to itself.
TEST_P(BFloat16Test, RandomShapes) {
  std::mt19937_64 random(seed_);
  SCOPED_TRACE(fmt::format("rerun with LOCKSTEP_TEST_SEED={}", seed_));
  const auto any = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  const auto positive = [&](const Shape& shape) {  // numbers that bfloat16 holds
    Tensor tensor = float32_->empty(shape, DType::kFloat32);
    for (float& value : tensor.span<float>()) value = static_cast<float>(any(1, 128)) / 64;
    return tensor;
  };
  for (int round = 0; round < 60; ++round) {
    ConvGeometry g{.direct = true};
    g.groups = any(0, 3) == 0 ? any(1, 4) : 1;
    g.in_c = g.groups * any(1, 40), g.out_c = g.groups * any(1, 70);
    g.kernel_h = any(1, 4), g.kernel_w = any(1, 4);
    g.stride_h = any(1, 3), g.stride_w = any(1, 3);
    g.dilation_h = any(1, 2), g.dilation_w = any(1, 2);
    g.pad_h = any(0, 3), g.pad_w = any(0, 3);
    g.in_h = g.dilation_h * (g.kernel_h - 1) + 1 + any(0, 20);
    g.in_w = g.dilation_w * (g.kernel_w - 1) + 1 + any(0, 20);
    const std::int64_t images = any(1, 4);
    SCOPED_TRACE(
        fmt::format("{} images {}x{}x{} to {}, kernel {}x{}, stride {}x{}, pad {}x{}, "
                    "dilation {}x{}, {} groups",
                    images, g.in_h, g.in_w, g.in_c, g.out_c, g.kernel_h, g.kernel_w, g.stride_h,
                    g.stride_w, g.pad_h, g.pad_w, g.dilation_h, g.dilation_w, g.groups));
    const Tensor x = positive({images, g.in_h, g.in_w, g.in_c}),
                 w = positive({g.weight_elements()}), bias = positive({g.out_c}),
                 dy = positive({images, g.out_h(), g.out_w(), g.out_c});
    const auto outputs = [&](Backend& backend) {
      const auto stream = backend.make_stream(0);
      Tensor packed = backend.empty({backend.conv_packed_elements(g, true)}, DType::kFloat32),
             y = backend.empty(dy.shape(), DType::kFloat32),
             dx = backend.empty(x.shape(), DType::kFloat32),
             dw = backend.empty(w.shape(), DType::kFloat32),
             dbias = backend.empty(bias.shape(), DType::kFloat32);
      stream->submit([&] {
        backend.conv_pack(*stream, g, true, w, packed);
        backend.conv_forward(*stream, g, x, w, {}, bias, y);
        backend.conv_backward_data(*stream, g, dy, w, packed, false, dx);
        backend.conv_backward_weights(*stream, g, x, dy, false, dw, dbias);
      });
      stream->synchronize();
      return std::vector<Tensor>{y, dx, dw, dbias};
    };
    const auto expected = outputs(*float32_), got = outputs(*bfloat16_);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto want = expected[i].span<float>(), have = got[i].span<float>();
      for (std::size_t j = 0; j < want.size(); ++j)
        ASSERT_NEAR(have[j], want[j], 1e-5f * want[j]) << "output " << i << ", element " << j;
    }
  }
}

constexpr Products kForms[] = {Products::kBFloat16Dots, Products::kBFloat16Fma};

TEST(BFloat16ProductsTest, MatchTheReferenceOfTheRoundedOperands) {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(fmt::format("rerun with LOCKSTEP_TEST_SEED={}", seed));
  int checked = 0;
  for (const OpCase& c : all_cases()) {
    if (!multiplies(c) || c.use == Use::kBenchmark) continue;
    const Values values = with_bfloat16_operands(c, make_values(c, seed));
    const Results expected = reference_results(c, values);
    for (const Products form : kForms) {
      const auto backend = make_cpu_backend(Isa::kAvx512, form);
      try {
        const OutputBytes outputs = outputs_of(*backend, c, values, {.unaligned = true});
        check_outputs(c, expected, outputs);
        if (c.flops < 2e6) check_derivatives(c, values, expected, outputs, 6);
        ++checked;
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
  EXPECT_GT(checked, 60);
}

INSTANTIATE_TEST_SUITE_P(Forms, BFloat16Test, testing::ValuesIn(kForms), [](const auto& param) {
  return param.param == Products::kBFloat16Dots ? "dots" : "fma";
});

TEST(BFloat16ProductsTest, AreRefusedWithoutTheirInstructions) {
  for (const Isa isa : runnable_isas()) {
    if (isa == Isa::kAvx512) continue;
    try {
      bfloat16_products(isa);
      FAIL() << name_of(isa) << " accepted";
    } catch (const Error& error) {
      const std::string message = error.what();
      for (const char* part : {"run.precision = \"bfloat16\"", "avx512_bf16", "float32"})
        EXPECT_NE(message.find(part), std::string::npos) << message;
    }
  }
}

}  // namespace
}  // namespace lockstep::cases
