#include "runtime/step/optimizer.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "runtime/config/parameter_groups.h"
#include "runtime/step/name_patterns.h"

namespace lockstep {

namespace {

class Sgd final : public Optimizer {
 public:
  explicit Sgd(const OptimizerConfig& config) : config_(config) {}

  std::vector<std::string> states() const override {
    if (config_.momentum == 0) return {};
    return {"momentum"};
  }

  void update(Backend& backend, Stream& stream, const Treatment& treatment, std::int64_t step,
              double lr, const Tensor& gradient, Tensor& value,
              std::span<Tensor> states) const override {
    SgdOptions options;
    options.lr = static_cast<float>(lr * treatment.lr_scale);
    options.momentum = static_cast<float>(config_.momentum);
    options.dampening = static_cast<float>(config_.dampening);
    options.weight_decay = static_cast<float>(treatment.weight_decay);
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

  void update(Backend& backend, Stream& stream, const Treatment& treatment, std::int64_t step,
              double lr, const Tensor& gradient, Tensor& value,
              std::span<Tensor> states) const override {
    AdamOptions options;
    options.lr = static_cast<float>(lr * treatment.lr_scale);
    options.beta1 = static_cast<float>(config_.beta1);
    options.beta2 = static_cast<float>(config_.beta2);
    options.epsilon = static_cast<float>(config_.eps);
    options.weight_decay = static_cast<float>(treatment.weight_decay);
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

  void update(Backend& backend, Stream& stream, const Treatment& treatment, std::int64_t, double lr,
              const Tensor& gradient, Tensor& value, std::span<Tensor> states) const override {
    RmspropOptions options;
    options.lr = static_cast<float>(lr * treatment.lr_scale);
    options.alpha = static_cast<float>(config_.alpha);
    options.epsilon = static_cast<float>(config_.eps);
    options.momentum = static_cast<float>(config_.momentum);
    options.weight_decay = static_cast<float>(treatment.weight_decay);
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

  void update(Backend& backend, Stream& stream, const Treatment& treatment, std::int64_t step,
              double lr, const Tensor& gradient, Tensor& value,
              std::span<Tensor> states) const override {
    AdagradOptions options;
    options.lr = static_cast<float>(lr * treatment.lr_scale);
    options.epsilon = static_cast<float>(config_.eps);
    options.weight_decay = static_cast<float>(treatment.weight_decay);
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

Treatment treatment_of(const Param& param, const OptimizerConfig& config,
                       const std::vector<ParameterGroup>& groups, const FirstSteps& first_steps) {
  Treatment treatment;
  treatment.kind = param.spec.kind;
  treatment.average_momentum = param.spec.average_momentum;
  if (param.spec.kind == ParamKind::kStatistic) return treatment;
  treatment.decays = param.spec.weight_decay || config.decay_norms_and_biases;
  treatment.weight_decay = config.weight_decay;
  const auto group = std::ranges::find_if(groups, [&](const ParameterGroup& candidate) {
    return std::ranges::any_of(
        candidate.match, [&](const std::string& pattern) { return fits(pattern, param.name); });
  });
  if (group != groups.end()) {
    treatment.lr_scale = group->lr_scale;
    treatment.weight_decay = group->weight_decay.value_or(config.weight_decay);
  }
  if (!treatment.decays) treatment.weight_decay = 0;
  if (const auto found = first_steps.find(param.name); found != first_steps.end())
    treatment.first_step = found->second;
  return treatment;
}

}  // namespace

std::vector<Segment> make_segments(const ParamSet& params, const OptimizerConfig& config,
                                   const FirstSteps& first_steps) {
  const std::vector<ParameterGroup> groups = parameter_groups(config);
  for (const ParameterGroup& group : groups) check_patterns(group.match, group.where, params);
  std::vector<Segment> segments;
  std::int64_t end = 0;  // of what is covered; padding before a parameter is treated as it is
  for (const ParamKind kind : {ParamKind::kTrainable, ParamKind::kStatistic}) {
    const std::size_t first = segments.size();
    for (const Param& param : params.all()) {
      if (param.spec.kind != kind || !param.trains) continue;
      const Treatment treatment = treatment_of(param, config, groups, first_steps);
      const ElementRange range{end, param.offset + param.elements};
      if (segments.size() > first && segments.back().treatment == treatment)
        segments.back().range.end = range.end;
      else
        segments.push_back({range, treatment});
      end = range.end;
    }
    end = kind == ParamKind::kTrainable ? params.trainable_end() : params.trained_elements();
    if (segments.size() > first) segments.back().range.end = end;
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
