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
  std::unique_ptr<Optimizer> optimizer;
  if (config.kind == OptimizerKind::kSgd)
    optimizer = std::make_unique<Sgd>(config);
  else
    optimizer = std::make_unique<Adam>(config);
  optimizer->state_count_ = optimizer->states().size();
  return optimizer;
}

}  // namespace lockstep
