#include "runtime/step/updater.h"

#include <array>

#include "kernels/core/profile.h"

namespace lockstep {

namespace {

Tensor part(const Tensor& slice, ElementRange of, ElementRange range) {
  return slice.slice(range.begin - of.begin, range.end - of.begin);
}

}  // namespace

Updater::Updater(const ParamSet& params, const std::vector<ElementRange>& buckets,
                 StepNumbers& numbers, Exchange& exchange, int worker, const UpdateRule& rule,
                 Backend& backend, Stream& stream)
    : params_(params),
      buckets_(buckets),
      numbers_(numbers),
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
  numbers_.add_up();
  const bool clips = rule_.clip_norm > 0;
  const int buckets = static_cast<int>(buckets_.size());
  for (int bucket = 0; bucket < buckets; ++bucket) {
    sum_slice(bucket);
    numbers_.judge(exchange_.slice(worker_, bucket));
    if (!clips) apply(bucket, step, lr);
  }
  if (clips) {
    numbers_.clip(rule_.clip_norm);
    for (int bucket = 0; bucket < buckets; ++bucket) apply(bucket, step, lr);
  }
  wait([&] { exchange_.finish(worker_); });
  numbers_.finish();
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
  for (const auto& [range, divisor] : {std::pair{trainable, StepNumbers::Divisor::kWeight},
                                       std::pair{statistics, StepNumbers::Divisor::kRows}}) {
    if (range.count() == 0) continue;
    nodes_.clear();
    for (const TreeNode& node : nodes)
      nodes_.push_back({part(node.sum, slice, range), node.shards});
    Tensor sum = part(gradient, slice, range);
    numbers_.mean(nodes_, divisor, sum);
  }
  add_penalties(slice, gradient);
  if (slice.count() > 0) {
    Tensor norms = numbers_.norms(slice);
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

// average = decay · average + (1 - decay) · weight, as timm's ModelEmaV2: running statistics too.
void Updater::move_average(ElementRange slice) {
  if (slice.count() == 0) return;
  float* const averages = exchange_.state(static_cast<int>(rule_.optimizer.state_count()));
  const Tensor value = backend_.borrow(exchange_.values() + slice.begin, {slice.count()});
  Tensor average = backend_.borrow(averages + slice.begin, {slice.count()});
  backend_.running_average(stream_, static_cast<float>(1 - rule_.average_decay), value, average);
}

void Updater::apply(int bucket, std::int64_t step, double lr) {
  numbers_.guard(true);
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
    numbers_.scale(gradient);
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
  numbers_.guard(false);
  if (kept_gradient_ != nullptr) {
    const Tensor gradient = backend_.borrow(sum, {slice.count()}).to_host();
    std::copy_n(gradient.data<float>(), slice.count(), kept_gradient_ + slice.begin);
  }
  exchange_.deliver(worker_, bucket);
}

}  // namespace lockstep
