#include "runtime/step/optimizer.h"

#include "kernels/core/error.h"

namespace lockstep {

namespace {

class Sgd final : public Optimizer {
 public:
  explicit Sgd(const OptimizerConfig& config) : config_(config) {}

  std::vector<std::string> states() const override {
    if (config_.momentum == 0) return {};
    return {"momentum"};
  }

  void update(Backend& backend, Stream& stream, const Segment& segment, std::int64_t step,
              double lr, const Tensor& gradient, Tensor& value,
              std::span<Tensor> states) const override {
    SgdOptions options;
    options.lr = static_cast<float>(lr * segment.lr_scale);
    options.momentum = static_cast<float>(config_.momentum);
    options.dampening = static_cast<float>(config_.dampening);
    options.weight_decay = segment.decay ? static_cast<float>(config_.weight_decay) : 0.0f;
    options.nesterov = config_.nesterov;
    options.first_step = step == 1;
    Tensor none;
    backend.sgd(stream, options, gradient, value, states.empty() ? none : states[0]);
  }

 private:
  OptimizerConfig config_;
};

class Adam final : public Optimizer {  // and AdamW
 public:
  explicit Adam(const OptimizerConfig& config) : config_(config) {}

  std::vector<std::string> states() const override { return {"m", "v"}; }

  void update(Backend& backend, Stream& stream, const Segment& segment, std::int64_t step,
              double lr, const Tensor& gradient, Tensor& value,
              std::span<Tensor> states) const override {
    AdamOptions options;
    options.lr = static_cast<float>(lr * segment.lr_scale);
    options.beta1 = static_cast<float>(config_.beta1);
    options.beta2 = static_cast<float>(config_.beta2);
    options.epsilon = static_cast<float>(config_.eps);
    options.weight_decay = segment.decay ? static_cast<float>(config_.weight_decay) : 0.0f;
    options.decoupled = config_.kind == OptimizerKind::kAdamW;
    options.step = step;
    backend.adam(stream, options, gradient, value, states[0], states[1]);
  }

 private:
  OptimizerConfig config_;
};

class Rmsprop final : public Optimizer {
 public:
  explicit Rmsprop(const OptimizerConfig& config) : config_(config) {}

  std::vector<std::string> states() const override {
    std::vector<std::string> names = {"square_avg"};
    if (config_.momentum != 0) names.emplace_back("momentum_buffer");
    if (config_.centered) names.emplace_back("grad_avg");
    return names;
  }

  void update(Backend& backend, Stream& stream, const Segment& segment, std::int64_t, double lr,
              const Tensor& gradient, Tensor& value, std::span<Tensor> states) const override {
    RmspropOptions options;
    options.lr = static_cast<float>(lr * segment.lr_scale);
    options.alpha = static_cast<float>(config_.alpha);
    options.epsilon = static_cast<float>(config_.eps);
    options.momentum = static_cast<float>(config_.momentum);
    options.weight_decay = segment.decay ? static_cast<float>(config_.weight_decay) : 0.0f;
    options.centered = config_.centered;
    Tensor none;
    Tensor& momentum = options.momentum != 0 ? states[1] : none;
    Tensor& mean = config_.centered ? states.back() : none;
    backend.rmsprop(stream, options, gradient, value, states[0], momentum, mean);
  }

 private:
  OptimizerConfig config_;
};

class Adagrad final : public Optimizer {
 public:
  explicit Adagrad(const OptimizerConfig& config) : config_(config) {}

  std::vector<std::string> states() const override { return {"sum"}; }

  void update(Backend& backend, Stream& stream, const Segment& segment, std::int64_t step,
              double lr, const Tensor& gradient, Tensor& value,
              std::span<Tensor> states) const override {
    AdagradOptions options;
    options.lr = static_cast<float>(lr * segment.lr_scale);
    options.epsilon = static_cast<float>(config_.eps);
    options.weight_decay = segment.decay ? static_cast<float>(config_.weight_decay) : 0.0f;
    options.lr_decay = config_.lr_decay;
    options.initial = static_cast<float>(config_.initial_accumulator);
    options.step = step;
    backend.adagrad(stream, options, gradient, value, states[0]);
  }

 private:
  OptimizerConfig config_;
};

std::unique_ptr<Optimizer> make_of_kind(const OptimizerConfig& config) {
  switch (config.kind) {
    case OptimizerKind::kSgd:
      return std::make_unique<Sgd>(config);
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return std::make_unique<Adam>(config);
    case OptimizerKind::kRmsprop:
      return std::make_unique<Rmsprop>(config);
    case OptimizerKind::kAdagrad:
      return std::make_unique<Adagrad>(config);
  }
  throw Error("unknown optimizer {}", static_cast<int>(config.kind));
}

}  // namespace

std::vector<Segment> make_segments(const ParamSet& params, bool decay_norms_and_biases) {
  std::vector<Segment> segments;
  const auto append = [&](Segment segment) {
    if (segment.range.count() == 0) return;
    if (!segments.empty() && segments.back().same_treatment(segment))
      segments.back().range.end = segment.range.end;
    else
      segments.push_back(segment);
  };
  std::int64_t end = 0;  // of what is covered; padding before a parameter is treated as it is
  for (const ParamKind kind : {ParamKind::kTrainable, ParamKind::kStatistic}) {
    for (const Param& param : params.all()) {
      if (param.spec.kind != kind) continue;
      append({{end, param.offset + param.elements},
              kind,
              1.0f,
              param.spec.weight_decay || decay_norms_and_biases,
              param.spec.average_momentum});
      end = param.offset + param.elements;
    }
    const std::int64_t limit =
        kind == ParamKind::kTrainable ? params.trainable_end() : params.elements();
    if (!segments.empty() && segments.back().kind == kind) segments.back().range.end = limit;
    end = limit;
  }
  return segments;
}

std::unique_ptr<Optimizer> Optimizer::make(const OptimizerConfig& config) {
  std::unique_ptr<Optimizer> optimizer = make_of_kind(config);
  optimizer->state_count_ = optimizer->states().size();
  LOCKSTEP_CHECK(optimizer->state_count_ <= kMaxStates, "an optimizer of {} states",
                 optimizer->state_count_);
  return optimizer;
}

}  // namespace lockstep
