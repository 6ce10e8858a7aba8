#include "runtime/step/replica.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/profile.h"

namespace lockstep {

namespace {

// Elements that stay in a core's second-level cache.
constexpr std::int64_t kElementsInCache = 1 << 19;

// Of samples in evaluation, which have nothing to do with each other. Where the activations of one
// outweigh the weights by far, few samples pass through all layers before the next do: what a layer
// writes is then in a cache when the next one reads it, and reading the weights again costs less.
std::int64_t rows_at_once(std::int64_t max_rows, std::size_t activation_elements,
                          std::int64_t weights) {
  const std::int64_t elements =
      static_cast<std::int64_t>(activation_elements) / std::max<std::int64_t>(1, max_rows);
  if (elements < 2 * weights) return max_rows;
  return std::clamp<std::int64_t>(kElementsInCache / std::max<std::int64_t>(1, elements), 1,
                                  max_rows);
}

Tensor upload_floats(Backend& backend, const std::vector<float>& values) {
  const Tensor host = host_tensor({static_cast<std::int64_t>(values.size())}, DType::kFloat32);
  std::copy(values.begin(), values.end(), host.span<float>().begin());
  Tensor tensor = backend.empty(host.shape(), DType::kFloat32);
  backend.copy(host, tensor);
  return tensor;
}

void check_ids(DType x_type) {
  if (x_type == DType::kInt64) return;
  throw Error(
      "the network's first layer takes ids, which are int32 or int64 in the data file, but the "
      "samples are {}: store x as integers, or begin the network with a layer that takes numbers",
      name_of(x_type));
}

}  // namespace

void set_normalization(Blueprint& blueprint, const std::vector<double>& mean,
                       const std::vector<double>& std) {
  if (mean.size() != std.size())
    throw Error("the dataset has {} means but {} standard deviations", mean.size(), std.size());
  const auto channels = static_cast<std::int64_t>(mean.size());
  if (channels > 1 && blueprint.sample.back() != channels)
    throw Error(
        "the dataset has {} means, but a sample of shape {} has {} channels or columns: set "
        "data.normalize = false, or prepare the file again",
        channels, blueprint.sample.to_string(), blueprint.sample.back());
  const double unit = blueprint.x_type == DType::kUInt8 ? 1.0 / 255.0 : 1.0;
  blueprint.scale.clear();
  blueprint.shift.clear();
  for (std::size_t i = 0; i < mean.size(); ++i) {
    if (!(std[i] > 0)) throw Error("the dataset's standard deviation {} is {}", i, std[i]);
    blueprint.scale.push_back(static_cast<float>(unit / std[i]));
    blueprint.shift.push_back(static_cast<float>(-mean[i] / std[i]));
  }
  if (mean.empty() && blueprint.x_type != DType::kFloat32) {
    blueprint.scale = {static_cast<float>(unit)};
    blueprint.shift = {0.0f};
  }
}

Replica::Replica(const Blueprint& blueprint, std::int64_t max_rows, Backend& backend,
                 Stream& stream, std::shared_ptr<PackedCopies> packed_copies)
    : backend_(backend),
      stream_(stream),
      seed_(blueprint.seed),
      sample_(blueprint.sample),
      x_type_(blueprint.x_type),
      target_(blueprint.target),
      target_columns_(blueprint.target_columns),
      build_(backend, params_, max_rows),
      network_(blueprint.make_network()),
      loss_(blueprint.make_loss ? blueprint.make_loss() : nullptr),
      sums_(backend.zeros({kLossSums + kMetricSums}, DType::kFloat64)),
      host_sums_(host_tensor({kLossSums + kMetricSums}, DType::kFloat64)) {
  if (packed_copies) build_.packed_copies = std::move(packed_copies);
  build_.direct_convolutions = blueprint.direct_convolutions;
  build_.frozen = blueprint.frozen;
  build_.input_type = network_->input_type();
  const DType activations = backend.activation_type();
  if (build_.input_type == DType::kInt64)
    check_ids(blueprint.x_type);
  else if (!blueprint.scale.empty() || activations != DType::kFloat32)
    x_ = build_.buffer(blueprint.sample);
  if (x_ && !blueprint.scale.empty()) {
    scale_ = upload_floats(backend, blueprint.scale);
    shift_ = upload_floats(backend, blueprint.shift);
  }
  output_shape_ = network_->build(build_, std::span(&blueprint.sample, 1));
  if (blueprint.check_output) blueprint.check_output(output_shape_);
  if (loss_)
    loss_->build(backend, max_rows, output_shape_, blueprint.target, blueprint.target_columns);
  params_.place();
  rows_at_once_ =
      rows_at_once(max_rows, build_.activation_bytes() / size_of(activations), params_.elements());
  if (rows_at_once_ < max_rows) output_ = build_.buffer(output_shape_);
  if (activations != DType::kFloat32)
    output_in_float32_ = build_.buffer(output_shape_, DType::kFloat32);
  frozen_gradients_ = backend.empty({params_.scratch_elements()});
  params_.bind_frozen_gradients(frozen_gradients_);
}

std::size_t Replica::buffer_bytes() const {
  const auto outputs = static_cast<std::size_t>(output_shape_.elements());
  // A row of the loss's gradient.
  const std::size_t loss = loss_ ? outputs * size_of(backend_.activation_type()) : 0;
  return build_.buffer_bytes() + loss * static_cast<std::size_t>(build_.max_rows());
}

void Replica::train_shard(const ShardBatch& batch, std::int64_t shard, std::int64_t step,
                          std::int64_t weights_version, Reducer& reducer, StepNumbers& numbers) {
  if (batch.rows == 0) {
    numbers.put(stream_, shard, {}, 1, 0, {});
    return reducer.zero_shard(shard);
  }
  reducer.begin_shard(shard);
  const Tensor x = input(batch.x);
  Pass pass = make_pass(batch, x, weights_version, true);
  pass.step = step;
  pass.on_ready = [&reducer](const Param& param) { reducer.ready(param); };

  prepare(pass);
  const Tensor output = forward(pass, x);
  const Tensor doutput = score(pass, batch, output, true);
  numbers.put(stream_, shard, sums_, loss_->scale(), batch.rows,
              [this, &batch, step, weights_version](double loss) {
                explain_loss(batch, step, weights_version, loss);
              });
  backward(pass, doutput);
  reducer.end_shard();
}

void Replica::prepare(Stream& stream, std::int64_t weights_version) {
  prepare(Pass{.backend = backend_,
               .stream = stream,
               .training = true,
               .seed = seed_,
               .step = 0,
               .weights_version = weights_version,
               .sample_ids = {},
               .ids = {},
               .on_ready = {},
               .check_finite = false,
               .observer = nullptr});
}

void Replica::warm_up(std::int64_t rows, std::int64_t weights_version) {
  if (rows == 0) return;
  const auto zeros = [rows](const Shape& sample, DType type) {
    const Tensor tensor = host_tensor(sample.with_rows(rows), type);
    std::fill_n(tensor.raw(), tensor.bytes(), std::byte{0});
    return tensor;
  };
  ShardBatch batch;
  batch.rows = rows;
  batch.x = zeros(sample_, x_type_);
  batch.sample_ids = zeros({}, DType::kInt64);
  batch.weight = zeros({}, DType::kFloat32);
  batch.y = target_ == TargetKind::kValues ? zeros({target_columns_}, DType::kFloat32)
                                           : zeros({}, DType::kInt64);
  const Tensor x = input(batch.x);
  const Pass pass = make_pass(batch, x, weights_version, true);
  prepare(pass);
  const Tensor output = forward(pass, x);
  backward(pass, score(pass, batch, output, true));
}

Tensor Replica::evaluate_shard(const ShardBatch& batch, std::int64_t weights_version,
                               ShardScalars& scalars) {
  scalars = {};
  if (batch.rows == 0) return {};
  const Tensor x = input(batch.x);
  const Pass pass = make_pass(batch, x, weights_version, false);
  const Tensor output = forward_evaluating(pass, x);
  score(pass, batch, output, false);
  backend_.copy(sums_, host_sums_);
  scalars = shard_scalars(host_sums_, loss_->scale(), batch.rows);
  return in_float32(output);
}

Tensor Replica::predict(const ShardBatch& batch, std::int64_t weights_version,
                        LayerObserver* observer) {
  const Tensor x = input(batch.x);
  Pass pass = make_pass(batch, x, weights_version, false);
  pass.observer = observer;
  return in_float32(forward_evaluating(pass, x));
}

Pass Replica::make_pass(const ShardBatch& batch, const Tensor& x, std::int64_t weights_version,
                        bool training) {
  LOCKSTEP_CHECK(weights_version > 0, "version {} of the weights; they count from 1",
                 weights_version);
  return Pass{.backend = backend_,
              .stream = stream_,
              .training = training,
              .seed = seed_,
              .step = 0,
              .weights_version = weights_version,
              .sample_ids = backend_.upload(stream_, batch.sample_ids),
              .ids = x.dtype() == DType::kInt64 ? x : Tensor(),
              .on_ready = {},
              .check_finite = false,
              .observer = nullptr};
}

Tensor Replica::input(const Tensor& x) {
  const ProfileScope scope(stream_.profile(), "input");
  const Tensor raw = backend_.upload(stream_, x);
  if (!x_) return raw;
  Tensor result = x_.head(raw.rows());
  if (scale_)
    backend_.scale_shift(stream_, raw, scale_, shift_, result);
  else
    backend_.convert(stream_, raw, result);
  return result;
}

Tensor Replica::in_float32(const Tensor& output) {
  if (!output_in_float32_) return output;
  Tensor wide = output_in_float32_.head(output.rows());
  backend_.convert(stream_, output, wide);
  return wide;
}

void Replica::prepare(const Pass& pass) {
  if (prepared_version_ == pass.weights_version) return;
  prepared_version_ = pass.weights_version;
  const ProfileScope scope(stream_.profile(), "prepare");
  for (const auto& preparation : build_.preparations) preparation(pass);
}

Tensor Replica::forward(const Pass& pass, const Tensor& x) {
  const ProfileScope scope(stream_.profile(), "forward");
  return network_->forward(pass, std::span(&x, 1));
}

Tensor Replica::forward_evaluating(const Pass& pass, const Tensor& x) {
  if (!pass.joins_layers() || x.rows() <= rows_at_once_) return forward(pass, x);
  Pass some = pass;
  for (std::int64_t row = 0; row < x.rows(); row += rows_at_once_) {
    const std::int64_t end = std::min(row + rows_at_once_, x.rows());
    some.sample_ids = pass.sample_ids.slice(row, end);
    if (pass.ids) some.ids = pass.ids.slice(row, end);
    Tensor output = output_.slice(row, end);
    backend_.copy_async(stream_, forward(some, x.slice(row, end)), output);
  }
  return output_.head(x.rows());
}

void Replica::backward(const Pass& pass, const Tensor& doutput) {
  const ProfileScope scope(stream_.profile(), "backward");
  Tensor dx;
  network_->backward(pass, doutput, std::span(&dx, 1));
}

Tensor Replica::score(const Pass& pass, const ShardBatch& batch, const Tensor& output,
                      bool gradient) {
  const ProfileScope scope(stream_.profile(), "loss");
  const Tensor target = backend_.upload(stream_, batch.y);
  const Tensor weight = batch.weight ? backend_.upload(stream_, batch.weight) : Tensor();
  Tensor loss_sums = sums_.slice(0, kLossSums);
  Tensor metric_sums = sums_.slice(kLossSums, kLossSums + kMetricSums);
  return loss_->run(pass, output, target, weight, gradient, loss_sums, metric_sums);
}

// By the same forward pass once more.
void Replica::explain_loss(const ShardBatch& batch, std::int64_t step, std::int64_t weights_version,
                           double loss) {
  const Tensor x = input(batch.x);
  Pass pass = make_pass(batch, x, weights_version, true);
  pass.step = step;
  if (x.dtype() != DType::kInt64) check_finite(pass, "the input", x);
  pass.check_finite = true;
  forward(pass, x);
  throw Error(
      "the loss is {} although every layer's output is finite: look at the targets and "
      "weights of the batch, or lower optimizer.lr",
      loss);
}

}  // namespace lockstep
