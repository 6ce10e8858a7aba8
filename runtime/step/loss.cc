#include "runtime/step/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lockstep {

namespace {

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : std::numeric_limits<double>::quiet_NaN();
}

// The number of outputs, where the network ends in a vector.
std::int64_t outputs_of(LossKind kind, const Shape& output) {
  if (output.rank() != 1) {
    throw Error(
        "loss '{}' takes one vector a sample, but the network's output is {}; end the "
        "network with a linear layer",
        name_of(kind), output.to_string());
  }
  return output[0];
}

void check_columns(LossKind kind, std::int64_t outputs, std::int64_t columns) {
  if (outputs != columns) {
    throw Error("loss '{}': the network has {} outputs, the targets have {} columns", name_of(kind),
                outputs, columns);
  }
}

// metric sums: correct, counted, correct among the k largest, counted.
class CrossEntropy final : public Loss {
 public:
  CrossEntropy(const LossConfig& config, std::int64_t top_k)
      : Loss(config), class_weights_(config.class_weights), top_k_(top_k) {
    options_.label_smoothing = static_cast<float>(config.label_smoothing);
  }

  void build(Backend& backend, std::int64_t max_rows, const Shape& output, TargetKind target,
             std::int64_t target_columns) override {
    const std::int64_t outputs = outputs_of(LossKind::kCrossEntropy, output);
    if (network_outputs(LossKind::kCrossEntropy, target, target_columns, outputs) != outputs)
      check_columns(LossKind::kCrossEntropy, outputs, target_columns);
    if (top_k_ > outputs) {
      throw Error("training.top_k = {} is more than the network's {} outputs", top_k_, outputs);
    }
    if (!class_weights_.empty()) class_weight_ = upload_class_weights(backend, outputs);
    if (target == TargetKind::kValues) target_class_ = backend.empty({max_rows}, DType::kInt64);
    gradient_ = backend.empty({max_rows, outputs}, backend.activation_type());
  }

  Tensor compute(const Pass& pass, const Tensor& output, const Tensor& target,
                 const Tensor& sample_weight, bool gradient, Tensor& loss_sums,
                 Tensor& metric_sums) override {
    Tensor dlogits = gradient ? gradient_.head(output.rows()) : Tensor();
    pass.backend.softmax_cross_entropy(pass.stream, options_, output, target, sample_weight,
                                       class_weight_, dlogits, loss_sums);
    if (metric_sums) sum_correct(pass, output, target, metric_sums);
    return dlogits;
  }

  std::vector<std::string> metric_names() const override {
    if (top_k_ <= 1) return {"accuracy"};
    return {"accuracy", fmt::format("top_{}_accuracy", top_k_)};
  }

  std::vector<double> metrics(std::span<const double> sums, double) const override {
    if (top_k_ <= 1) return {ratio(sums[0], sums[1])};
    return {ratio(sums[0], sums[1]), ratio(sums[2], sums[3])};
  }

 private:
  Tensor upload_class_weights(Backend& backend, std::int64_t outputs) const {
    const auto count = static_cast<std::int64_t>(class_weights_.size());
    if (count != outputs) {
      throw Error("loss.class_weights has {} numbers, the network {} outputs; give one a class",
                  count, outputs);
    }
    const Tensor host = host_tensor({count}, DType::kFloat32);
    std::transform(class_weights_.begin(), class_weights_.end(), host.span<float>().begin(),
                   [](double weight) { return static_cast<float>(weight); });
    Tensor result = backend.empty({count});
    backend.copy(host, result);
    return result;
  }

  void sum_correct(const Pass& pass, const Tensor& output, const Tensor& target,
                   Tensor& metric_sums) {
    Tensor classes = target;
    // Of probabilities the likeliest class counts as the right one. Mixed labels are probabilities
    // in training and classes in evaluation.
    if (target.dtype() == DType::kFloat32) {
      classes = target_class_.head(output.rows());
      pass.backend.argmax(pass.stream, target, classes);
    }
    Tensor best = metric_sums.slice(0, 2);
    pass.backend.top_k_correct(pass.stream, 1, options_.ignore_label, output, classes, best);
    if (top_k_ <= 1) return;
    Tensor best_k = metric_sums.slice(2, 4);
    pass.backend.top_k_correct(pass.stream, top_k_, options_.ignore_label, output, classes, best_k);
  }

  CrossEntropyOptions options_;
  std::vector<double> class_weights_;
  std::int64_t top_k_;
  Tensor class_weight_, target_class_, gradient_;
};

// metric sums: correct, counted; none where the targets are values.
class BinaryCrossEntropy final : public Loss {
 public:
  using Loss::Loss;

  void build(Backend& backend, std::int64_t max_rows, const Shape& output, TargetKind target,
             std::int64_t target_columns) override {
    const std::int64_t outputs = outputs_of(LossKind::kBinaryCrossEntropy, output);
    check_columns(LossKind::kBinaryCrossEntropy, outputs,
                  network_outputs(LossKind::kBinaryCrossEntropy, target, target_columns, 2));
    counts_correct_ = target == TargetKind::kClass;
    gradient_ = backend.empty({max_rows, outputs}, backend.activation_type());
  }

  Tensor compute(const Pass& pass, const Tensor& output, const Tensor& target,
                 const Tensor& sample_weight, bool gradient, Tensor& loss_sums,
                 Tensor& metric_sums) override {
    Tensor dlogits = gradient ? gradient_.head(output.rows()) : Tensor();
    pass.backend.binary_cross_entropy(pass.stream, output, target, sample_weight, dlogits,
                                      loss_sums);
    if (metric_sums && counts_correct_) {
      Tensor correct = metric_sums.slice(0, 2);
      pass.backend.top_k_correct(pass.stream, 1, CrossEntropyOptions().ignore_label, output, target,
                                 correct);
    }
    return dlogits;
  }

  std::vector<std::string> metric_names() const override {
    return counts_correct_ ? std::vector<std::string>{"accuracy"} : std::vector<std::string>{};
  }

  std::vector<double> metrics(std::span<const double> sums, double) const override {
    return counts_correct_ ? std::vector<double>{ratio(sums[0], sums[1])} : std::vector<double>{};
  }

 private:
  bool counts_correct_ = false;
  Tensor gradient_;
};

// metric sums: correct, counted.
class Hinge final : public Loss {
 public:
  using Loss::Loss;

  void build(Backend& backend, std::int64_t max_rows, const Shape& output, TargetKind target,
             std::int64_t target_columns) override {
    const std::int64_t outputs = outputs_of(LossKind::kHinge, output);
    network_outputs(LossKind::kHinge, target, target_columns, outputs);  // are there classes?
    gradient_ = backend.empty({max_rows, outputs}, backend.activation_type());
  }

  Tensor compute(const Pass& pass, const Tensor& output, const Tensor& target,
                 const Tensor& sample_weight, bool gradient, Tensor& loss_sums,
                 Tensor& metric_sums) override {
    const HingeOptions options;
    Tensor dlogits = gradient ? gradient_.head(output.rows()) : Tensor();
    pass.backend.hinge(pass.stream, options, output, target, sample_weight, dlogits, loss_sums);
    if (metric_sums) {
      Tensor correct = metric_sums.slice(0, 2);
      pass.backend.top_k_correct(pass.stream, 1, options.ignore_label, output, target, correct);
    }
    return dlogits;
  }

  std::vector<std::string> metric_names() const override { return {"accuracy"}; }

  std::vector<double> metrics(std::span<const double> sums, double) const override {
    return {ratio(sums[0], sums[1])};
  }

 private:
  Tensor gradient_;
};

// Mean squared, absolute and Huber's error. metric sums: squared errors, absolute errors (a row's
// are its means over the columns).
class ValueLoss final : public Loss {
 public:
  explicit ValueLoss(const LossConfig& config)
      : Loss(config), kind_(config.kind), delta_(static_cast<float>(config.delta)) {}

  void build(Backend& backend, std::int64_t max_rows, const Shape& output, TargetKind target,
             std::int64_t target_columns) override {
    const std::int64_t outputs = outputs_of(kind_, output);
    check_columns(kind_, outputs, network_outputs(kind_, target, target_columns, 0));
    gradient_ = backend.empty({max_rows, outputs}, backend.activation_type());
  }

  Tensor compute(const Pass& pass, const Tensor& output, const Tensor& target,
                 const Tensor& sample_weight, bool gradient, Tensor& loss_sums,
                 Tensor& metric_sums) override {
    Tensor dprediction = gradient ? gradient_.head(output.rows()) : Tensor();
    if (kind_ == LossKind::kL1)
      pass.backend.mean_absolute_error(pass.stream, output, target, sample_weight, dprediction,
                                       loss_sums);
    else if (kind_ == LossKind::kHuber)
      pass.backend.huber(pass.stream, {.delta = delta_}, output, target, sample_weight, dprediction,
                         loss_sums);
    else
      pass.backend.mean_squared_error(pass.stream, output, target, sample_weight, dprediction,
                                      loss_sums);
    if (metric_sums) {
      Tensor errors = metric_sums.slice(0, 2);
      pass.backend.regression_errors(pass.stream, output, target, errors);
    }
    return dprediction;
  }

  std::vector<std::string> metric_names() const override { return {"rmse", "mae"}; }

  std::vector<double> metrics(std::span<const double> sums, double rows) const override {
    return {std::sqrt(ratio(sums[0], rows)), ratio(sums[1], rows)};
  }

 private:
  LossKind kind_;
  float delta_;
  Tensor gradient_;
};

}  // namespace

Tensor Loss::run(const Pass& pass, const Tensor& output, const Tensor& target,
                 const Tensor& sample_weight, bool gradient, Tensor& loss_sums,
                 Tensor& metric_sums) {
  Tensor doutput = compute(pass, output, target, sample_weight, gradient, loss_sums, metric_sums);
  if (doutput && scale_ != 1) pass.backend.scale(pass.stream, static_cast<float>(scale_), doutput);
  return doutput;
}

std::unique_ptr<Loss> make_loss(const LossConfig& config, std::int64_t top_k) {
  switch (config.kind) {
    case LossKind::kCrossEntropy:
      return std::make_unique<CrossEntropy>(config, top_k);
    case LossKind::kBinaryCrossEntropy:
      return std::make_unique<BinaryCrossEntropy>(config);
    case LossKind::kMse:
    case LossKind::kL1:
    case LossKind::kHuber:
      return std::make_unique<ValueLoss>(config);
    case LossKind::kHinge:
      return std::make_unique<Hinge>(config);
  }
  throw Error("unknown loss {}", static_cast<int>(config.kind));
}

bool compares_values(LossKind kind) {
  return kind == LossKind::kMse || kind == LossKind::kL1 || kind == LossKind::kHuber;
}

TargetRule target_rule(LossKind kind) {
  if (kind == LossKind::kCrossEntropy) return TargetRule::kDistributions;
  if (kind == LossKind::kBinaryCrossEntropy) return TargetRule::kProbabilities;
  return TargetRule::kAny;  // hinge refuses all values
}

std::int64_t network_outputs(LossKind kind, TargetKind target, std::int64_t target_columns,
                             std::int64_t classes) {
  if (target == TargetKind::kNone) {
    throw Error("loss '{}' needs targets, but the data have none; name them with data.y",
                name_of(kind));
  }
  if (target == TargetKind::kValues) {
    if (kind == LossKind::kCrossEntropy && target_columns < 2) {
      throw Error(
          "loss 'cross_entropy' takes class labels or at least 2 columns of "
          "probabilities; for one column set loss.kind to \"mse\" (values) or "
          "\"binary_cross_entropy\" (probabilities)");
    }
    if (kind == LossKind::kHinge) {
      throw Error(
          "loss 'hinge' takes class labels, but the data hold values; set loss.kind to "
          "\"mse\", \"l1\" or \"huber\"");
    }
    return target_columns;
  }
  if (compares_values(kind)) {
    throw Error(
        "loss '{}' takes float32 targets, but the data hold class labels; set loss.kind "
        "to \"cross_entropy\"",
        name_of(kind));
  }
  if (kind == LossKind::kHinge && classes == 2) return 1;
  if (kind == LossKind::kBinaryCrossEntropy) {
    if (classes > 2) {
      throw Error(
          "loss 'binary_cross_entropy' takes 2 classes, the data have {}; set loss.kind to "
          "\"cross_entropy\"",
          classes);
    }
    return 1;
  }
  return classes;
}

}  // namespace lockstep
