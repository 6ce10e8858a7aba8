// Rig: one layer or network with its parameters, gradients and a stream, as a replica holds them,
// run through the whole contract of runtime/layer.h on tensors of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "io/dataset/dataset.h"
#include "kernels/cpu/cpu_backend.h"
#include "runtime/step/layer.h"

namespace lockstep {

struct RigOptions {
  std::int64_t max_rows = 5;
  bool input_gradient = true;  // as if a parameter stood before the layer
  bool input_overwritable = false;
  bool direct_convolutions = false;
  std::set<std::string> frozen{};  // parameters that do not train
};

class Rig {
 public:
  Rig(std::unique_ptr<UnaryLayer> layer, const Shape& sample, const RigOptions& options = {})
      : backend(make_cpu_backend(best_isa())),
        stream(backend->make_stream(0)),
        build(*backend, params, options.max_rows),
        layer(std::move(layer)),
        sample(sample) {
    build.gradient_flows = options.input_gradient;
    build.input_overwritable = options.input_overwritable;
    build.direct_convolutions = options.direct_convolutions;
    build.frozen = options.frozen;
    build.input_type = this->layer->input_type();
    if (sample.rank() == 2) build.ids = {sample[0], kIds};
    output = this->layer->build(build, sample);
    params.place();
    values_ = host_tensor({params.elements()}, DType::kFloat32);
    gradients_ = host_tensor({params.elements()}, DType::kFloat32);
    std::ranges::fill(values_.span<float>(), 0.0f);
    params.bind_values(*backend, values_.data<float>());
    params.bind_gradients(*backend, gradients_.data<float>());
    params.bind_frozen_gradients(host_tensor({params.scratch_elements()}, DType::kFloat32));
    params.initialize(*backend, 7);
  }

  // The layer's own tensor; valid until the next forward.
  Tensor forward(const Tensor& x, bool training = true) {
    Tensor y;
    in_stream([&] { y = layer->forward(pass(x.rows(), training), x); });
    return y;
  }

  // Gradients are poisoned before (statistics have theirs from forward); a parameter's values are
  // from the moment it is reported ready until backward is through, for nobody may read them then.
  Tensor backward(const Tensor& dy) {
    constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();
    for (const Param& param : params.all())
      if (param.spec.kind == ParamKind::kTrainable)
        std::ranges::fill(param.grad.span<float>(), kPoison);
    const Tensor kept = copy_of(values_);
    reported.clear();
    Pass one = pass(dy.rows(), true);
    one.on_ready = [&](const Param& param) {
      ++reported[param.name];
      std::ranges::fill(param.value.span<float>(), kPoison);
    };
    Tensor dx;
    in_stream([&] { dx = layer->backward(one, dy); });
    std::ranges::copy(kept.span<float>(), values_.span<float>().begin());
    return dx;
  }

  // Samples (T, C) stand for tokens with ids, every one of them in any kIds tokens in a row.
  static constexpr std::int64_t kIds = 3;
  Tensor token_ids(std::int64_t rows) const {
    if (sample.rank() != 2) return {};
    Tensor ids = host_tensor({rows, sample[0]}, DType::kInt64);
    for (std::int64_t i = 0; i < ids.elements(); ++i)
      ids.data<std::int64_t>()[i] = (i / sample[0] + i % sample[0]) % kIds;
    return ids;
  }

  Pass pass(std::int64_t rows, bool training) {
    Tensor ids = host_tensor({rows}, DType::kInt64);
    for (std::int64_t i = 0; i < rows; ++i) ids.data<std::int64_t>()[i] = 1000 + 3 * i;
    return Pass{.backend = *backend,
                .stream = *stream,
                .training = training,
                .seed = 11,
                .step = 5,
                .weights_version = version,
                .sample_ids = ids,
                .ids = token_ids(rows),
                .on_ready = {},
                .check_finite = check_finite,
                .observer = nullptr};
  }

  template <typename Work>
  void in_stream(Work work) {
    stream->submit(work);
    stream->synchronize();
  }

  static Tensor copy_of(const Tensor& tensor) {
    Tensor copy = host_tensor(tensor.shape(), DType::kFloat32);
    std::ranges::copy(tensor.span<float>(), copy.span<float>().begin());
    return copy;
  }

  std::unique_ptr<Backend> backend;
  std::unique_ptr<Stream> stream;
  ParamSet params;
  Build build;
  std::unique_ptr<UnaryLayer> layer;
  Shape sample, output;
  std::int64_t version = 1;
  bool check_finite = false;
  std::map<std::string, int> reported;

 private:
  Tensor values_, gradients_;
};

// Fresh numbers every run; the seed is printed with each failure.
class Random {
 public:
  Random() : seed_(std::random_device{}()), engine_(seed_) {}
  unsigned seed() const { return seed_; }
  std::mt19937& engine() { return engine_; }

  Tensor uniform(const Shape& shape, float low = -1, float high = 1) {
    Tensor tensor = host_tensor(shape, DType::kFloat32);
    std::uniform_real_distribution<float> draw(low, high);
    for (float& value : tensor.span<float>()) value = draw(engine_);
    return tensor;
  }

  // Magnitudes in [0.2, 1): no kink of ReLU within a difference's reach.
  Tensor away_from_zero(const Shape& shape) {
    Tensor tensor = uniform(shape, 0.2f, 1.0f);
    for (float& value : tensor.span<float>())
      if (engine_() % 2 == 0) value = -value;
    return tensor;
  }

  // All values 0.4 apart: no two change places within a difference's reach, and a batch of two rows
  // has a variance far above epsilon.
  Tensor distinct(const Shape& shape) {
    Tensor tensor = host_tensor(shape, DType::kFloat32);
    const std::span<float> values = tensor.span<float>();
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = 0.4f * (static_cast<float>(i) - static_cast<float>(values.size()) / 2);
    std::shuffle(values.begin(), values.end(), engine_);
    return tensor;
  }

 private:
  unsigned seed_;
  std::mt19937 engine_;
};

inline std::vector<float> list_of(const Tensor& tensor) {
  const std::span<float> values = tensor.span<float>();
  return {values.begin(), values.end()};
}

// Gradients of Σ projection · y, with respect to every input and every trainable parameter, against
// central differences of the float32 forward pass summed in double.
inline void expect_gradients(Rig& rig, const Tensor& x, Random& random, float eps = 1e-2f,
                             double tolerance = 2e-3) {
  SCOPED_TRACE(fmt::format("seed {}", random.seed()));
  const Tensor projection = random.uniform(rig.output.with_rows(x.rows()));
  const auto objective = [&] {
    const Tensor input = Rig::copy_of(x);  // the layer may write over it
    const Tensor y = rig.forward(input);
    double sum = 0;
    for (std::int64_t i = 0; i < y.elements(); ++i)
      sum += static_cast<double>(projection.data<float>()[i]) * y.data<float>()[i];
    return sum;
  };
  const auto compare = [&](const std::string& name, const Tensor& at,
                           const std::vector<float>& gradient) {
    double largest = 1;
    for (const float value : gradient) largest = std::max<double>(largest, std::abs(value));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      float& place = at.data<float>()[i];
      const float value = place;
      place = value + eps;
      ++rig.version;
      const double above = objective();
      const double high = place;
      place = value - eps;
      ++rig.version;
      const double below = objective();
      const double low = place;
      place = value;
      ++rig.version;
      EXPECT_NEAR(gradient[i], (above - below) / (high - low), tolerance * largest)
          << name << "[" << i << "]";
      if (testing::Test::HasNonfatalFailure()) return;
    }
  };

  objective();
  const Tensor dx = rig.backward(Rig::copy_of(projection));
  ASSERT_TRUE(dx.defined());
  ASSERT_EQ(dx.shape(), x.shape());
  for (const Param& param : rig.params.all())
    EXPECT_EQ(rig.reported[param.name], param.trains ? 1 : 0) << param.name;
  const std::vector<float> input_gradient = list_of(dx);
  std::map<std::string, std::vector<float>> gradients;
  for (const Param& param : rig.params.all()) gradients[param.name] = list_of(param.grad);

  compare("x", x, input_gradient);
  for (const Param& param : rig.params.all()) {
    if (param.spec.kind == ParamKind::kTrainable && param.trains)
      compare(param.name, param.value, gradients[param.name]);
  }
}

}  // namespace lockstep
