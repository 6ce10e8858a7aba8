#include "runtime/step/updater.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/core/profile.h"

#include "runtime/step/tree.h"

namespace lockstep {

namespace {

Tensor part(const Tensor& slice, ElementRange of, ElementRange range) {
  return slice.slice(range.begin - of.begin, range.end - of.begin);
}

}  // namespace

Updater::Updater(const ParamSet& params, const std::vector<ElementRange>& buckets,
                 std::int64_t shards, Exchange& exchange, int worker, const UpdateRule& rule,
                 Backend& backend, Stream& stream)
    : params_(params),
      buckets_(buckets),
      shards_(shards),
      exchange_(exchange),
      worker_(worker),
      rule_(rule),
      backend_(backend),
      stream_(stream) {}

template <typename Wait>
void Updater::wait(const Wait& wait) {
  const ProfileScope scope(stream_.profile(), "wait");
  wait();
}

void Updater::update(std::int64_t step, double lr) {
  const ProfileScope scope(stream_.profile(), "update");
  wait([&] { exchange_.wait_scalars(worker_); });
  const auto* scalars = reinterpret_cast<const ShardScalars*>(exchange_.scalars(worker_, 0));
  total_ = total_scalars({scalars, static_cast<std::size_t>(shards_)});
  if (!(total_.weight > 0))
    throw Error(
        "the weights of all {} rows of the batch add up to {}: nothing to learn from. Look "
        "at the dataset's labels (-1 is ignored) and weights",
        total_.rows, total_.weight);

  const bool clips = rule_.clip_norm > 0;
  const int buckets = static_cast<int>(buckets_.size());
  for (int bucket = 0; bucket < buckets; ++bucket) {
    sum_slice(bucket);
    exchange_.settle(worker_);
    check_finite(exchange_.slice(worker_, bucket));
    if (!clips) apply(bucket, step, lr, 1.0f);
  }
  if (clips) {
    const auto factor = static_cast<float>(clip_factor());
    for (int bucket = 0; bucket < buckets; ++bucket) apply(bucket, step, lr, factor);
  }
  wait([&] { exchange_.finish(worker_); });
}

void Updater::sum_slice(int bucket) {
  const ElementRange slice = exchange_.slice(worker_, bucket);
  std::span<const TreeNode> nodes;
  wait([&] { nodes = exchange_.collect(worker_, bucket); });
  Tensor gradient = backend_.borrow(exchange_.sum_target(worker_, bucket), {slice.count()});
  // Losses are divided by the weight of the batch, statistics by its rows.
  const ElementRange trainable = intersect(slice, {0, params_.trainable_end()});
  const ElementRange statistics =
      intersect(slice, {params_.trainable_end(), params_.trained_elements()});
  for (const auto& [range, divisor] :
       {std::pair{trainable, total_.weight}, std::pair{statistics, total_.rows}}) {
    if (range.count() == 0) continue;
    nodes_.clear();
    for (const TreeNode& node : nodes)
      nodes_.push_back({part(node.sum, slice, range), node.shards});
    Tensor sum = part(gradient, slice, range);
    backend_.tree_sum(stream_, nodes_, static_cast<float>(divisor), sum);
  }
  add_penalties(slice, gradient);
  if (slice.count() > 0) {
    const std::int64_t first_block = slice.begin / kBlockElements;
    const std::int64_t blocks = (slice.count() + kBlockElements - 1) / kBlockElements;
    Tensor norms =
        backend_.borrow(exchange_.block_norms() + first_block, {blocks}, DType::kFloat64);
    backend_.squared_norms(stream_, gradient, norms);
  }
}

void Updater::add_penalties(ElementRange slice, const Tensor& gradient) {
  if (rule_.penalty.l1 == 0 && rule_.penalty.l2 == 0) return;
  for (const Segment& segment : rule_.segments) {
    const ElementRange range = intersect(slice, segment.range);
    const Treatment& treatment = segment.treatment;
    if (range.count() == 0 || treatment.kind != ParamKind::kTrainable || !treatment.decays)
      continue;
    const Tensor value = backend_.borrow(exchange_.values() + range.begin, {range.count()});
    Tensor target = part(gradient, slice, range);
    backend_.add_penalty(stream_, rule_.penalty, value, target);
  }
}

void Updater::check_finite(ElementRange slice) const {
  const double* norms = exchange_.block_norms();
  for (std::int64_t begin = slice.begin; begin < slice.end; begin += kBlockElements) {
    if (std::isfinite(norms[begin / kBlockElements])) continue;
    std::string names;
    for (const Param& param : params_.all())
      if (param.offset < begin + kBlockElements && begin < param.offset + param.elements)
        names += (names.empty() ? "'" : ", '") + param.name + "'";
    throw Error(
        "the gradient of {} is not finite although the loss is. Lower optimizer.lr or set "
        "training.clip_norm; the last checkpoint is kept",
        names);
  }
}

double Updater::clip_factor() {
  exchange_.publish_norms(worker_);
  wait([&] { exchange_.wait_norms(worker_); });
  const auto blocks = static_cast<std::size_t>(params_.trainable_end() / kBlockElements);
  gradient_norm_ = std::sqrt(tree_sum(std::span<const double>(exchange_.block_norms(), blocks)));
  // torch.nn.utils.clip_grad_norm_
  return std::min(1.0, rule_.clip_norm / (gradient_norm_ + 1e-6));
}

// average = decay · average + (1 - decay) · weight, as timm's ModelEmaV2: running statistics too.
void Updater::move_average(ElementRange slice) {
  if (slice.count() == 0) return;
  float* const averages = exchange_.state(static_cast<int>(rule_.optimizer.state_count()));
  const Tensor value = backend_.borrow(exchange_.values() + slice.begin, {slice.count()});
  Tensor average = backend_.borrow(averages + slice.begin, {slice.count()});
  backend_.running_average(stream_, static_cast<float>(1 - rule_.average_decay), value, average);
}

void Updater::apply(int bucket, std::int64_t step, double lr, float factor) {
  const ElementRange slice = exchange_.slice(worker_, bucket);
  float* const sum = exchange_.sum_target(worker_, bucket);
  for (const Segment& segment : rule_.segments) {
    const ElementRange range = intersect(slice, segment.range);
    if (range.count() == 0) continue;
    const auto flat = [&](float* base) {
      return backend_.borrow(base + range.begin, {range.count()});
    };
    Tensor gradient = backend_.borrow(sum + (range.begin - slice.begin), {range.count()});
    Tensor value = flat(exchange_.values());
    if (segment.treatment.kind == ParamKind::kStatistic) {
      backend_.running_average(stream_, segment.treatment.average_momentum, gradient, value);
      continue;
    }
    if (factor != 1.0f) backend_.scale(stream_, factor, gradient);
    if (rule_.clip_value > 0)
      backend_.clamp(stream_, static_cast<float>(rule_.clip_value), gradient);
    std::array<Tensor, Optimizer::kMaxStates> states;
    const std::size_t count = rule_.optimizer.state_count();
    for (std::size_t i = 0; i < count; ++i) states[i] = flat(exchange_.state(static_cast<int>(i)));
    const std::int64_t steps = step + 1 - segment.treatment.first_step;
    rule_.optimizer.update(backend_, stream_, segment.treatment, steps, lr, gradient, value,
                           std::span(states).first(count));
  }
  if (rule_.average_decay > 0) move_average(slice);
  if (kept_gradient_ != nullptr) {
    const Tensor gradient = backend_.borrow(sum, {slice.count()}).to_host();
    std::copy_n(gradient.data<float>(), slice.count(), kept_gradient_ + slice.begin);
  }
  exchange_.deliver(worker_, bucket);
}

}  // namespace lockstep
