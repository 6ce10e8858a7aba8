// A convolution or linear layer with an epilogue gives the bits of the operations one by one, with
// every instruction set and every kind of product.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/cases/case_run.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

constexpr Activation::Kind kActivations[] = {
    Activation::kRelu, Activation::kSigmoid, Activation::kTanh,     Activation::kLeakyRelu,
    Activation::kElu,  Activation::kGelu,    Activation::kGeluTanh, Activation::kSilu};

ConvGeometry square(std::int64_t in_c, std::int64_t out_c, std::int64_t size, std::int64_t kernel,
                    std::int64_t pad, std::int64_t stride = 1, std::int64_t groups = 1) {
  ConvGeometry g;
  g.in_h = g.in_w = size;
  g.in_c = in_c;
  g.out_c = out_c;
  g.kernel_h = g.kernel_w = kernel;
  g.pad_h = g.pad_w = pad;
  g.stride_h = g.stride_w = stride;
  g.groups = groups;
  return g;
}

struct Form {
  Isa isa;
  Products products;
};

class EpilogueBits : public testing::TestWithParam<Form> {
 protected:
  EpilogueBits()
      : backend_(make_cpu_backend(GetParam().isa, GetParam().products)),
        stream_(backend_->make_stream(0)),
        seed_(cases::test_seed()),
        random_(seed_) {
    std::printf("rerun with LOCKSTEP_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  std::int64_t any(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  Tensor values(const Shape& shape) {
    std::normal_distribution<float> normal;
    Tensor tensor = backend_->empty(shape, DType::kFloat32);
    for (float& value : tensor.span<float>()) value = normal(random_);
    return tensor;
  }
  Tensor positive(const Shape& shape) {
    Tensor tensor = values(shape);
    for (float& value : tensor.span<float>()) value = 0.1f + value * value;
    return tensor;
  }
  Epilogue any_epilogue(const Shape& y) {
    Epilogue epilogue;
    const Shape channels{y.back()};
    if (any(0, 3) > 0) {
      epilogue.gamma = values(channels);
      epilogue.beta = values(channels);
      epilogue.running_mean = values(channels);
      epilogue.running_var = positive(channels);
    }
    if (any(0, 1) > 0) epilogue.residual = values(y);
    if (any(0, 4) > 0)
      epilogue.activation =
          kActivations[any(0, static_cast<std::int64_t>(std::size(kActivations)) - 1)];
    return epilogue;
  }
  void one_by_one(const Epilogue& e, Tensor& y) {
    if (e.gamma) {
      const Tensor sums = y.clone();
      backend_->batch_norm_inference(*stream_, e.batch_norm, sums, e.gamma, e.beta, e.running_mean,
                                     e.running_var, y);
    }
    if (e.residual) backend_->add(*stream_, y, e.residual, y);
    if (e.activation) backend_->activation_forward(*stream_, *e.activation, y, y);
  }
  template <typename Work>
  void run(const Work& work) {
    stream_->submit(work);
    stream_->synchronize();
  }
  static std::string text_of(const Epilogue& e) {
    return fmt::format("batch norm {}, residual {}, activation {}", e.gamma.defined(),
                       e.residual.defined(), e.activation ? e.activation->kind : -1);
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  std::uint64_t seed_;
  std::mt19937_64 random_;
};

TEST_P(EpilogueBits, OfConvolutions) {
  for (int round = 0; round < 60; ++round) {
    const std::int64_t in = any(1, 40), out = any(1, 150), size = any(3, 12);
    const ConvGeometry g = std::array{square(in, out, size, 1, 0),            // dense rows
                                      square(in + 15, out + 15, size, 3, 1),  // Winograd
                                      square(in, out, size, 3, 1, 2),         // strided
                                      square(3, out, 2 * size + 5, 7, 3, 2),  // few channels
                                      square(in, out, 3, 3, 1, 2),            // few pixels
                                      square(out, out, size, 3, 1, 1, out),   // depthwise
                                      square(out, out, size, 5, 2, 2, out)}[round % 7];
    const std::int64_t rows = any(1, 3);
    const Tensor x = values({rows, g.in_h, g.in_w, g.in_c}), w = values({g.weight_elements()});
    const Tensor bias = any(0, 1) > 0 ? values({g.out_c}) : Tensor();
    Tensor packed;
    const std::int64_t elements = backend_->conv_packed_elements(g, false);
    if (elements > 0) packed = backend_->empty({elements}, DType::kFloat32);
    const Shape shape{rows, g.out_h(), g.out_w(), g.out_c};
    Tensor parts = backend_->empty(shape, DType::kFloat32), joined = values(shape);
    const Epilogue epilogue = any_epilogue(shape);
    run([&] {
      backend_->conv_pack(*stream_, g, false, w, packed);
      backend_->conv_forward(*stream_, g, x, w, packed, bias, parts);
      one_by_one(epilogue, parts);
      backend_->conv_inference(*stream_, g, x, w, packed, bias, epilogue, joined);
    });
    EXPECT_EQ(std::memcmp(parts.raw(), joined.raw(), parts.bytes()), 0)
        << "round " << round << ": " << x.shape().to_string() << " -> " << shape.to_string()
        << ", kernel " << g.kernel_h << ", " << text_of(epilogue);
  }
}

TEST_P(EpilogueBits, OfLinearLayers) {
  for (int round = 0; round < 30; ++round) {
    const LinearGeometry g{any(1, 400), any(1, 200)};
    const std::int64_t rows = any(1, 300);
    const Tensor x = values({rows, g.in}), w = values({g.in * g.out});
    const Tensor bias = any(0, 1) > 0 ? values({g.out}) : Tensor();
    Tensor parts = backend_->empty({rows, g.out}, DType::kFloat32), joined = values({rows, g.out});
    const Epilogue epilogue = any_epilogue(parts.shape());
    run([&] {
      backend_->linear_forward(*stream_, g, x, w, {}, bias, parts);
      one_by_one(epilogue, parts);
      backend_->linear_inference(*stream_, g, x, w, {}, bias, epilogue, joined);
    });
    EXPECT_EQ(std::memcmp(parts.raw(), joined.raw(), parts.bytes()), 0)
        << "round " << round << ": " << rows << " rows, " << g.in << " -> " << g.out << ", "
        << text_of(epilogue);
  }
}

TEST(Epilogue, HoldsWhatFollowsInOrder) {
  const auto backend = make_cpu_backend(best_isa());
  Epilogue norm, sum, relu;
  norm.gamma = backend->zeros({2}, DType::kFloat32);
  sum.residual = backend->zeros({2, 2}, DType::kFloat32);
  relu.activation = Activation::kRelu;
  Epilogue all;
  EXPECT_TRUE(all.empty());
  EXPECT_TRUE(all.append(norm));
  EXPECT_FALSE(all.append(norm)) << "one batch norm";
  EXPECT_TRUE(all.append(sum));
  EXPECT_FALSE(all.append(sum)) << "one residual";
  EXPECT_FALSE(all.append(norm)) << "the batch norm comes before the residual";
  EXPECT_TRUE(all.append(relu));
  EXPECT_FALSE(all.append(relu)) << "the activation ends it";
  EXPECT_FALSE(all.append(sum));
  EXPECT_TRUE(all.gamma && all.residual && all.activation);
}

std::vector<Form> forms() {
  std::vector<Form> list;
  for (const Isa isa : runnable_isas()) list.push_back({isa, Products::kFloat32});
  try {
    bfloat16_products(best_isa());
    for (const Products products : {Products::kBFloat16Dots, Products::kBFloat16Fma})
      list.push_back({best_isa(), products});
  } catch (const Error& error) {
    std::printf("without bfloat16: %s\n", error.what());
  }
  return list;
}

std::string name_of_form(const testing::TestParamInfo<Form>& form) {
  const char* const products[] = {"", "_bfloat16_dots", "_bfloat16_fma"};
  return std::string(name_of(form.param.isa)) + products[static_cast<int>(form.param.products)];
}

INSTANTIATE_TEST_SUITE_P(All, EpilogueBits, testing::ValuesIn(forms()), name_of_form);

}  // namespace
}  // namespace lockstep
