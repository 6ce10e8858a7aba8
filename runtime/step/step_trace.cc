#include "runtime/step/step_trace.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lockstep {

namespace {

// All elements of a tensor of so many are looked at, and about so many of a larger one.
constexpr std::int64_t kAllElements = 256, kFewElements = 32;
// A step of the differences is this share of the value, or of 1 where the value is smaller. Where
// the loss bends close by (ReLU, max pooling), the narrow step is the one that may agree, up to the
// bend that it sees.
constexpr double kWide = 0x1p-7, kNarrow = 0x1p-11;
constexpr double kTolerance = 1e-2;  // of the largest gradient of the tensor

Tensor upload_floats(Backend& backend, const std::vector<float>& values) {
  const Tensor host = host_tensor({static_cast<std::int64_t>(values.size())}, DType::kFloat32);
  std::ranges::copy(values, host.span<float>().begin());
  Tensor tensor = backend.empty(host.shape());
  backend.copy(host, tensor);
  return tensor;
}

Tensor host_copy(const Tensor& tensor) {
  const Tensor host = tensor.to_host();
  Tensor copy = host_tensor(host.shape(), host.dtype());
  std::copy_n(host.raw(), host.bytes(), copy.raw());
  return copy;
}

}  // namespace

StepTracer::StepTracer(const Blueprint& blueprint, std::int64_t max_rows, Backend& backend)
    : blueprint_(blueprint),
      backend_(backend),
      stream_(backend.make_stream(0)),
      build_(backend, params_, max_rows),
      network_(blueprint.make_network()),
      loss_(blueprint.make_loss()),
      sums_(backend.zeros({kLossSums + kMetricSums}, DType::kFloat64)),
      host_sums_(host_tensor({kLossSums + kMetricSums}, DType::kFloat64)),
      loss_sums_(host_sums_.slice(0, kLossSums)),
      metric_sums_(host_sums_.slice(kLossSums, kLossSums + kMetricSums)) {
  build_.direct_convolutions = blueprint.direct_convolutions;
  build_.input_type = network_->input_type();
  const bool ids = build_.input_type == DType::kInt64;  // as the data hold them
  if (!ids && !blueprint.scale.empty()) {
    scale_ = upload_floats(backend, blueprint.scale);
    shift_ = upload_floats(backend, blueprint.shift);
  }
  build_.gradient_flows = !ids;
  const Shape output = network_->build(build_, std::span(&blueprint.sample, 1));
  loss_->build(backend, max_rows, output, blueprint.target, blueprint.target_columns);
  params_.place();
  values_ = backend.zeros({params_.elements()}, DType::kFloat32);
  gradients_ = backend.zeros({params_.elements()}, DType::kFloat32);
  params_.bind_values(backend, values_.data<float>());
  params_.bind_gradients(backend, gradients_.data<float>());
}

StepTracer::~StepTracer() = default;

StepTrace StepTracer::trace(const ShardBatch& batch) {
  StepTrace trace;
  sample_ids_ = batch.sample_ids;
  target_ = batch.y;
  row_weight_ = batch.weight;
  input_ = batch.x;
  if (scale_) {
    input_ = backend_.empty(batch.x.shape());
    stream_->submit([&] {
      backend_.scale_shift(*stream_, backend_.upload(*stream_, batch.x), scale_, shift_, input_);
    });
    stream_->synchronize();
  } else if (batch.x.dtype() == DType::kFloat32) {
    input_ = backend_.empty(batch.x.shape());
    backend_.copy(batch.x, input_);
  }
  trace.input = host_copy(input_);

  recording_ = &trace;
  const Tensor dx = run_loss(true);
  recording_ = nullptr;
  trace.loss = loss_->scale() * loss_sums_.data<double>()[0] / trace.weight;
  const std::vector<std::string> names = loss_->metric_names();
  const std::vector<double> metrics =
      loss_->metrics(metric_sums_.span<double>(), static_cast<double>(batch.rows));
  for (std::size_t i = 0; i < names.size(); ++i) trace.metrics.emplace_back(names[i], metrics[i]);

  if (dx) {
    trace.input_gradient = mean(dx);
    trace.input_differences = differences(input_.view({input_.elements()}), trace.input_gradient);
    trace.input_differences.values = trace.input_differences.values.view(dx.shape());
  }
  // Differences run forward passes, which write the leaves of running statistics: gradients first.
  std::vector<Tensor> gradients;
  for (const Param& param : params_.all()) gradients.push_back(mean(param.grad));
  for (const Param& param : params_.all()) {
    const Tensor& gradient = gradients[static_cast<std::size_t>(param.index)];
    TracedParameter traced;
    traced.name = param.name;
    traced.kind = param.spec.kind;
    traced.value = in_file_order(param, param.value);
    if (traced.kind == ParamKind::kTrainable) {
      traced.gradient = in_file_order(param, gradient);
      traced.differences = differences(param.value, gradient);
      traced.differences.values = in_file_order(param, traced.differences.values);
    }
    trace.parameters.push_back(std::move(traced));
  }
  return trace;
}

void StepTracer::output(const std::string& path, const Tensor& y) {
  recording_->layers.push_back({path, host_copy(y), {}});
}

void StepTracer::gradient(const std::string& path, const Tensor& dy) {
  for (TracedLayer& layer : recording_->layers)
    if (layer.path == path) layer.gradient = mean(dy);
}

// Runs the network and its loss on input_; the sums are filled, and with `with_gradient` the
// parameters' gradients too. Returns the input's gradient, of the sum over the rows.
Tensor StepTracer::run_loss(bool with_gradient) {
  Tensor dx;
  stream_->submit([&] {
    Pass pass{.backend = backend_,
              .stream = *stream_,
              .training = true,
              .seed = blueprint_.seed,
              .step = 0,
              .weights_version = ++version_,
              .sample_ids = backend_.upload(*stream_, sample_ids_),
              .ids = input_.dtype() == DType::kInt64 ? input_ : Tensor(),
              .on_ready = {},
              .check_finite = false,
              .observer = recording_ != nullptr ? this : nullptr};
    const Tensor output = network_->forward(pass, std::span(&input_, 1));
    const Tensor target = backend_.upload(*stream_, target_);
    const Tensor weight = row_weight_ ? backend_.upload(*stream_, row_weight_) : Tensor();
    Tensor loss_sums = sums_.slice(0, kLossSums);
    Tensor metric_sums = sums_.slice(kLossSums, kLossSums + kMetricSums);
    const Tensor doutput =
        loss_->run(pass, output, target, weight, with_gradient, loss_sums, metric_sums);
    backend_.copy(sums_, host_sums_);
    if (!with_gradient) return;
    recording_->weight = loss_sums_.data<double>()[1];
    if (!(recording_->weight > 0))
      throw Error("the weights of these rows add up to {}: they have no loss", recording_->weight);
    network_->backward(pass, doutput, std::span(&dx, 1));
  });
  stream_->synchronize();
  return dx;
}

Tensor StepTracer::mean(const Tensor& sum_gradient) const {
  Tensor result = host_copy(sum_gradient);
  const double weight = loss_sums_.data<double>()[1];
  for (float& value : result.span<float>()) value = static_cast<float>(value / weight);
  return result;
}

// (L(v + h) - L(v - h)) / 2h at one element, h = width · max(1, |v|); `loss` is L(v).
StepTracer::Slope StepTracer::slope(Tensor& place, double width, double loss) {
  const Tensor one = host_tensor({1}, DType::kFloat32);
  const float value = place.to_host().data<float>()[0];
  const auto loss_at = [&](float moved) {
    one.data<float>()[0] = moved;
    backend_.copy(one, place);
    run_loss(false);
    return loss_->scale() * loss_sums_.data<double>()[0] / loss_sums_.data<double>()[1];
  };
  const double step = width * std::max(1.0, std::fabs(static_cast<double>(value)));
  const auto above = static_cast<float>(value + step), below = static_cast<float>(value - step);
  const double right = loss_at(above), left = loss_at(below);
  one.data<float>()[0] = value;
  backend_.copy(one, place);
  const double span = static_cast<double>(above) - below;
  return {(right - left) / span, 2 * std::fabs(right - 2 * loss + left) / span};
}

Differences StepTracer::differences(const Tensor& values, const Tensor& gradient) {
  const std::int64_t count = values.elements();
  Differences result;
  result.values = host_tensor({count}, DType::kFloat32);
  std::ranges::fill(result.values.span<float>(), std::numeric_limits<float>::quiet_NaN());
  double largest = 0;
  for (const float value : gradient.span<float>())
    largest = std::max(largest, std::fabs(static_cast<double>(value)));
  const double loss = loss_->scale() * loss_sums_.data<double>()[0] / loss_sums_.data<double>()[1];
  const std::int64_t stride = count <= kAllElements ? 1 : count / kFewElements;
  double deviation = 0;
  for (std::int64_t i = 0; i < count; i += stride) {
    Tensor place = values.slice(i, i + 1);
    const double exact = gradient.data<float>()[i];
    double best = slope(place, kWide, loss).central;
    double error = std::fabs(best - exact);
    // The loss itself is rounded, which a narrow step magnifies.
    const auto tolerance = [&](double width) {
      return kTolerance * largest + 4 * 0x1p-24 * std::fabs(loss) / width;
    };
    bool agrees = error <= tolerance(kWide);
    if (!agrees) {
      const Slope narrow = slope(place, kNarrow, loss);
      const double narrow_error = std::fabs(narrow.central - exact);
      agrees = narrow_error <= tolerance(kNarrow) + narrow.bend;
      if (narrow_error < error) {
        best = narrow.central;
        error = narrow_error;
      }
    }
    result.values.data<float>()[i] = static_cast<float>(best);
    deviation = std::max(deviation, error);
    result.agree = result.agree && agrees;
    ++result.taken;
  }
  run_loss(false);  // the sums are those of the unchanged values again
  result.deviation = largest > 0 ? deviation / largest : deviation;
  return result;
}

Tensor StepTracer::in_file_order(const Param& param, const Tensor& flat) const {
  Tensor ordered = host_tensor(param.spec.file_shape, DType::kFloat32);
  backend_.to_file_order(param.spec.layout, param.spec.file_shape, flat, ordered);
  return ordered;
}

}  // namespace lockstep
