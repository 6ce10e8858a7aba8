// Linear layers and convolutions give the same bits with every instruction set of this processor,
// for random shapes, at any place in memory, whatever stood in the outputs and workspaces before.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/cases/case_run.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

class IsaBits : public testing::Test {
 protected:
  IsaBits() : seed_(cases::test_seed()), random_(seed_) {
    std::printf("rerun with LOCKSTEP_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }
  std::int64_t any(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  std::vector<float> values(std::int64_t count) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> result(static_cast<std::size_t>(count));
    for (float& value : result) value = uniform(random_);
    return result;
  }
  // A tensor that starts an odd number of floats into its allocation, between guards.
  static constexpr std::int64_t kGuard = 19;
  static constexpr std::size_t kPoisonedBytes = 1 << 22;
  struct Guarded {
    Tensor all, tensor;
    bool intact() const {
      const auto span = all.span<float>();
      for (std::int64_t i = 0; i < kGuard; ++i) {
        if (span[static_cast<std::size_t>(i)] != 77.0f) return false;
        if (span[span.size() - 1 - static_cast<std::size_t>(i)] != 77.0f) return false;
      }
      return true;
    }
  };
  Guarded guarded(Backend& backend, const Shape& shape) {
    const std::int64_t count = shape.elements(), guard = kGuard;
    Guarded result;
    result.all = backend.empty({count + 2 * guard});
    for (float& value : result.all.span<float>()) value = 77.0f;
    result.tensor = result.all.slice(guard, guard + count).view(shape);
    for (float& value : result.tensor.span<float>()) value = std::nanf("");
    return result;
  }
  Guarded guarded(Backend& backend, const Shape& shape, const std::vector<float>& content) {
    Guarded result = guarded(backend, shape);
    std::ranges::copy(content, result.tensor.span<float>().begin());
    return result;
  }

  std::uint64_t seed_;
  std::mt19937_64 random_;
};

struct Outputs {
  std::vector<Tensor> tensors;
  bool intact = true;
  template <typename Guarded>
  void add(const Guarded& output) {
    tensors.push_back(output.tensor);
    intact = intact && output.intact();
  }
};

bool written(const Tensor& a) {
  for (float value : a.span<float>()) {
    if (std::isnan(value)) return false;
  }
  return true;
}
bool equal(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// run(isa) gives the outputs of one instruction set; all others must give generic's bits.
template <typename Run>
void expect_same_bits(const Run& run) {
  const Outputs expected = run(Isa::kGeneric);
  EXPECT_TRUE(expected.intact);
  for (const Tensor& tensor : expected.tensors) EXPECT_TRUE(written(tensor));
  for (const Isa isa : runnable_isas()) {
    const Outputs actual = run(isa);
    EXPECT_TRUE(actual.intact) << name_of(isa);
    for (std::size_t i = 0; i < expected.tensors.size(); ++i) {
      EXPECT_TRUE(equal(expected.tensors[i], actual.tensors[i])) << name_of(isa) << ", " << i;
    }
  }
}

TEST_F(IsaBits, Linear) {
  for (int round = 0; round < 40; ++round) {
    const LinearGeometry g{any(1, 300), any(1, 100)};
    const std::int64_t rows = any(0, 150);
    SCOPED_TRACE(fmt::format("{} rows, {} to {}", rows, g.in, g.out));
    const auto x = values(rows * g.in), w = values(g.in * g.out), bias = values(g.out),
               dy = values(rows * g.out);
    const auto run = [&](Isa isa) {
      const auto backend = make_cpu_backend(isa);
      const auto stream = backend->make_stream(0);
      Outputs outputs;
      const auto in = guarded(*backend, {rows, g.in}, x),
                 weights = guarded(*backend, {g.in * g.out}, w),
                 b = guarded(*backend, {g.out}, bias),
                 gradient = guarded(*backend, {rows, g.out}, dy);
      auto packed = guarded(*backend, {backend->linear_packed_elements(g, true)}),
           y = guarded(*backend, {rows, g.out}), dx = guarded(*backend, {rows, g.in}),
           dw = guarded(*backend, {g.in * g.out}), dbias = guarded(*backend, {g.out});
      stream->submit([&] {
        std::memset(stream->workspace(kPoisonedBytes), 0xFF, kPoisonedBytes);  // NaN
        backend->linear_pack(*stream, g, true, weights.tensor, packed.tensor);
        backend->linear_forward(*stream, g, in.tensor, weights.tensor, packed.tensor, b.tensor,
                                y.tensor);
        backend->linear_backward_data(*stream, g, gradient.tensor, weights.tensor, packed.tensor,
                                      dx.tensor);
        backend->linear_backward_weights(*stream, g, in.tensor, gradient.tensor, dw.tensor,
                                         dbias.tensor);
      });
      stream->synchronize();
      for (const auto& output : {packed, y, dx, dw, dbias}) outputs.add(output);
      return outputs;
    };
    expect_same_bits(run);
  }
}

class IsaBitsOfConvolution : public IsaBits {
 protected:
  void check(const ConvGeometry& g, std::int64_t images) {
    SCOPED_TRACE(
        fmt::format("{} images {}x{}x{} to {}, kernel {}x{}, stride {}x{}, pad {}x{}, "
                    "dilation {}x{}, {} groups",
                    images, g.in_h, g.in_w, g.in_c, g.out_c, g.kernel_h, g.kernel_w, g.stride_h,
                    g.stride_w, g.pad_h, g.pad_w, g.dilation_h, g.dilation_w, g.groups));
    const Shape in{images, g.in_h, g.in_w, g.in_c}, out{images, g.out_h(), g.out_w(), g.out_c},
        weights{g.weight_elements()}, channels{g.out_c};
    const auto x = values(in.elements()), w = values(weights.elements()),
               bias = values(channels.elements()), dy = values(out.elements());
    const auto run = [&](Isa isa) {
      const auto backend = make_cpu_backend(isa);
      const auto stream = backend->make_stream(0);
      Outputs outputs;
      const auto image = guarded(*backend, in, x), weight = guarded(*backend, weights, w),
                 b = guarded(*backend, channels, bias), gradient = guarded(*backend, out, dy);
      auto packed = guarded(*backend, {backend->conv_packed_elements(g, false)}),
           packed_back = guarded(*backend, {backend->conv_packed_elements(g, true)}),
           y = guarded(*backend, out), dx = guarded(*backend, in), dw = guarded(*backend, weights),
           dbias = guarded(*backend, channels);
      stream->submit([&] {
        std::memset(stream->workspace(kPoisonedBytes), 0xFF, kPoisonedBytes);  // NaN
        backend->conv_pack(*stream, g, false, weight.tensor, packed.tensor);
        backend->conv_pack(*stream, g, true, weight.tensor, packed_back.tensor);
        backend->conv_forward(*stream, g, image.tensor, weight.tensor, packed.tensor, b.tensor,
                              y.tensor);
        backend->conv_backward_data(*stream, g, gradient.tensor, weight.tensor, packed_back.tensor,
                                    false, dx.tensor);
        backend->conv_backward_weights(*stream, g, image.tensor, gradient.tensor, false, dw.tensor,
                                       dbias.tensor);
      });
      stream->synchronize();
      for (const auto& output : {packed, packed_back, y, dx, dw, dbias}) outputs.add(output);
      return outputs;
    };
    expect_same_bits(run);
  }
};

TEST_F(IsaBitsOfConvolution, AnyGeometry) {
  for (int round = 0; round < 60; ++round) {
    ConvGeometry g;
    g.groups = any(0, 3) == 0 ? any(1, any(0, 1) == 0 ? 4 : 40) : 1;
    g.in_c = g.groups * (any(0, 2) == 0 ? 1 : any(1, 20));
    g.out_c = g.groups * any(1, any(0, 3) == 0 ? 70 : 20);
    g.kernel_h = any(1, 5), g.kernel_w = any(1, 5);
    g.stride_h = any(1, 3), g.stride_w = any(1, 3);
    g.dilation_h = any(1, 2), g.dilation_w = any(1, 3);
    g.pad_h = any(0, 4), g.pad_w = any(0, 6);
    const std::int64_t extent_h = g.dilation_h * (g.kernel_h - 1) + 1 - 2 * g.pad_h;
    const std::int64_t extent_w = g.dilation_w * (g.kernel_w - 1) + 1 - 2 * g.pad_w;
    g.in_h = std::max<std::int64_t>(extent_h, 1) + any(0, 12);
    g.in_w = std::max<std::int64_t>(extent_w, 1) + any(0, 30);
    check(g, any(0, 5));
  }
}

// Every size of a last tile, several blocks of tiles, several runs over channels.
TEST_F(IsaBitsOfConvolution, ByWinograd) {
  for (int round = 0; round < 20; ++round) {
    ConvGeometry g{.kernel_h = 3, .kernel_w = 3};
    const std::int64_t most = any(0, 4) == 0 ? 280 : 70;
    g.in_c = any(16, most), g.out_c = any(16, most);
    g.pad_h = any(0, 2), g.pad_w = any(0, 2);
    g.in_h = any(4 - 2 * std::min<std::int64_t>(g.pad_h, 1), 15);
    g.in_w = any(4 - 2 * std::min<std::int64_t>(g.pad_w, 1), 22);
    check(g, any(0, 3));
  }
}

}  // namespace
}  // namespace lockstep
