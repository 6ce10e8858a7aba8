// Batch norm with a residual and a ReLU in one operation gives the bits of the operations one by
// one, forward and backward, with every instruction set.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/cases/case_run.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

class FusedNorm : public testing::TestWithParam<Isa> {
 protected:
  FusedNorm()
      : backend_(make_cpu_backend(GetParam())),
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
  Tensor empty(const Shape& shape) { return backend_->empty(shape, DType::kFloat32); }
  template <typename Work>
  void run(const Work& work) {
    stream_->submit(work);
    stream_->synchronize();
  }

  struct Forward {
    Tensor y, mean, inv_std, stat_mean, stat_var;
  };
  Forward forward_of(const Shape& shape) {
    const Shape channels{shape.back()};
    return {empty(shape), empty(channels), empty(channels), empty(channels), empty(channels)};
  }
  struct Backward {
    Tensor dgamma, dbeta, dx, dresidual;
  };
  Backward backward_of(const Shape& shape) {
    return {empty({shape.back()}), empty({shape.back()}), empty(shape), empty(shape)};
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  std::uint64_t seed_;
  std::mt19937_64 random_;
};

void expect_equal(const Tensor& a, const Tensor& b, const char* name) {
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << name;
}

TEST_P(FusedNorm, HasTheBitsOfItsParts) {
  for (int round = 0; round < 12; ++round) {
    const Shape shape{any(1, 5), any(1, 12), any(2, 9), any(1, 150)};
    const bool add = round % 2 == 0;
    SCOPED_TRACE(shape.to_string() + (add ? " residual" : ""));
    const Tensor x = values(shape), residual = values(shape), dy = values(shape);
    const Tensor gamma = values({shape.back()}), beta = values({shape.back()});
    Tensor mask = backend_->empty({shape.elements() / shape.back(), relu_mask_bytes(shape.back())},
                                  DType::kUInt8);
    Forward parts = forward_of(shape), fused = forward_of(shape);
    Backward parts_back = backward_of(shape), fused_back = backward_of(shape);
    Tensor none;
    run([&] {
      backend_->batch_norm_forward(*stream_, {}, x, gamma, beta, parts.y, parts.mean, parts.inv_std,
                                   parts.stat_mean, parts.stat_var);
      if (add) backend_->add(*stream_, parts.y, residual, parts.y);
      backend_->activation_forward(*stream_, Activation::kRelu, parts.y, parts.y);
      backend_->activation_backward(*stream_, Activation::kRelu, parts.y, dy, parts_back.dresidual);
      backend_->batch_norm_backward(*stream_, x, parts_back.dresidual, gamma, parts.mean,
                                    parts.inv_std, parts_back.dgamma, parts_back.dbeta,
                                    parts_back.dx);
      backend_->batch_norm_relu_forward(*stream_, {}, x, gamma, beta, add ? residual : none,
                                        fused.y, mask, fused.mean, fused.inv_std, fused.stat_mean,
                                        fused.stat_var);
      backend_->batch_norm_relu_backward(*stream_, x, dy, mask, gamma, fused.mean, fused.inv_std,
                                         fused_back.dgamma, fused_back.dbeta, fused_back.dx,
                                         add ? fused_back.dresidual : none);
    });
    expect_equal(parts.y, fused.y, "y");
    expect_equal(parts.mean, fused.mean, "mean");
    expect_equal(parts.stat_var, fused.stat_var, "stat_var");
    expect_equal(parts_back.dgamma, fused_back.dgamma, "dgamma");
    expect_equal(parts_back.dbeta, fused_back.dbeta, "dbeta");
    expect_equal(parts_back.dx, fused_back.dx, "dx");
    if (add) expect_equal(parts_back.dresidual, fused_back.dresidual, "dresidual");
  }
}

INSTANTIATE_TEST_SUITE_P(All, FusedNorm, testing::ValuesIn(runnable_isas()),
                         [](const auto& isa) { return std::string(name_of(isa.param)); });

}  // namespace
}  // namespace lockstep
