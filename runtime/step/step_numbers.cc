#include "runtime/step/step_numbers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "io/dataset/dataset.h"
#include "kernels/core/memory_use.h"
#include "kernels/core/profile.h"
#include "runtime/step/tree.h"

namespace lockstep {

namespace {

std::int64_t blocks_before(std::int64_t element) {
  return (element + kBlockElements - 1) / kBlockElements;
}

class HostNumbers final : public StepNumbers {
 public:
  explicit HostNumbers(const Parts& parts)
      : StepNumbers(parts), coming_(static_cast<std::size_t>(parts.own.count())) {
    for (Coming& coming : coming_)
      coming.sums = parts.backend.empty_pinned({kLossSums + kMetricSums}, DType::kFloat64);
  }

  void put(Stream& stream, std::int64_t shard, const Tensor& sums, double scale, std::int64_t rows,
           std::function<void(double loss)> explain) override {
    of_shard(shard) = {};
    if (!sums.defined()) return;
    Coming& coming = coming_[static_cast<std::size_t>(shard - parts_.own.begin)];
    coming.scale = scale;
    coming.rows = rows;
    coming.explain = std::move(explain);
    parts_.backend.copy_async(stream, sums, coming.sums);
    if (parts_.backend.memory_is_host()) return take(shard, coming);
    coming.arrived = stream.record();
  }

  void publish(bool stop) override {
    for (std::int64_t shard = parts_.own.begin; shard < parts_.own.end; ++shard) {
      Coming& coming = coming_[static_cast<std::size_t>(shard - parts_.own.begin)];
      if (coming.arrived != nullptr) {
        wait([&] { std::exchange(coming.arrived, nullptr)->synchronize(); });
        take(shard, coming);
      }
      of_shard(shard).stop = stop ? 1 : 0;
    }
    parts_.exchange.publish_scalars(parts_.worker);
  }

  void add_up() override {
    wait([&] { parts_.exchange.wait_scalars(parts_.worker); });
    total_ = total_scalars({&of_shard(0), static_cast<std::size_t>(parts_.plan.shards())});
    check_weight();
    factor_ = 1;
  }

  void mean(std::span<const TreeNode> nodes, Divisor divisor, Tensor& y) override {
    const double by = divisor == Divisor::kWeight ? total_.weight : total_.rows;
    parts_.backend.tree_sum(parts_.stream, nodes, static_cast<float>(by), y);
  }

  Tensor norms(ElementRange slice) override {
    return parts_.backend.borrow(norms_of(slice), {blocks_before(slice.count())}, DType::kFloat64);
  }

  void judge(ElementRange slice) override {
    parts_.exchange.settle(parts_.worker);
    check_norms(slice, norms_of(slice));
  }

  void clip(double limit) override {
    parts_.exchange.publish_norms(parts_.worker);
    wait([&] { parts_.exchange.wait_norms(parts_.worker); });
    const auto blocks = static_cast<std::size_t>(parts_.params.trainable_end() / kBlockElements);
    gradient_norm_ =
        std::sqrt(tree_sum(std::span<const double>(parts_.exchange.block_norms(), blocks)));
    // torch.nn.utils.clip_grad_norm_
    factor_ = static_cast<float>(std::min(1.0, limit / (gradient_norm_ + 1e-6)));
  }

  void scale(Tensor& gradient) override {
    if (factor_ != 1.0f) parts_.backend.scale(parts_.stream, factor_, gradient);
  }

 private:
  struct Coming {  // a shard's sums on their way to the host
    Tensor sums;
    std::shared_ptr<Event> arrived{};  // null: nothing is under way
    double scale = 1;
    std::int64_t rows = 0;
    std::function<void(double loss)> explain{};
  };

  void take(std::int64_t shard, const Coming& coming) {
    ShardScalars& scalars = of_shard(shard);
    scalars = shard_scalars(coming.sums, coming.scale, coming.rows);
    if (!std::isfinite(scalars.loss)) coming.explain(scalars.loss);
  }
  ShardScalars& of_shard(std::int64_t shard) {
    return *reinterpret_cast<ShardScalars*>(parts_.exchange.scalars(parts_.worker, shard));
  }
  double* norms_of(ElementRange slice) const {
    return parts_.exchange.block_norms() + slice.begin / kBlockElements;
  }
  template <typename Wait>
  void wait(const Wait& wait) {
    const ProfileScope scope(parts_.stream.profile(), "wait");
    wait();
  }

  std::vector<Coming> coming_;  // by own shard
  float factor_ = 1;
};

class DeviceNumbers final : public StepNumbers {
 public:
  DeviceNumbers(const Parts& parts, std::unique_ptr<StepRecord> record)
      : StepNumbers(parts),
        record_(std::move(record)),
        explain_(static_cast<std::size_t>(parts.plan.shards())) {}

  void put(Stream& stream, std::int64_t shard, const Tensor& sums, double scale, std::int64_t rows,
           std::function<void(double loss)> explain) override {
    record_->put(stream, shard, sums, scale, static_cast<double>(rows));
    explain_[static_cast<std::size_t>(shard)] = std::move(explain);
  }

  void publish(bool stop) override {
    stop_ = stop;
    parts_.exchange.publish_scalars(parts_.worker);  // whose turns go on
  }

  void add_up() override { record_->add_up(parts_.stream); }

  void mean(std::span<const TreeNode> nodes, Divisor divisor, Tensor& y) override {
    record_->mean(
        parts_.stream, nodes,
        divisor == Divisor::kWeight ? StepRecord::Total::kWeight : StepRecord::Total::kRows, y);
  }

  Tensor norms(ElementRange slice) override {
    return record_->norms().slice(slice.begin / kBlockElements, blocks_before(slice.end));
  }

  void judge(ElementRange slice) override {
    record_->judge(parts_.stream, slice.begin / kBlockElements, blocks_before(slice.end));
  }

  void clip(double limit) override {
    clipped_ = true;
    record_->clip(parts_.stream, parts_.params.trainable_end() / kBlockElements, limit);
  }

  void scale(Tensor& gradient) override {
    if (clipped_) record_->scale(parts_.stream, gradient);
  }

  void guard(bool lasts) override { record_->guard(parts_.stream, lasts); }

  void finish() override {
    for (Stream* const stream : parts_.others) stream->synchronize();
    const StepRecord::Outcome& outcome = record_->read(parts_.stream);
    total_ = to_scalars(outcome.total.data());
    total_.stop = stop_ ? 1 : 0;
    gradient_norm_ = outcome.norm;
    if (outcome.open) return;
    for (std::int64_t shard = 0; shard < parts_.plan.shards(); ++shard) {
      const double loss = outcome.shards[static_cast<std::size_t>(shard * kShardScalars)];
      if (!std::isfinite(loss)) explain_[static_cast<std::size_t>(shard)](loss);
    }
    check_weight();
    const Tensor norms = record_->norms().to_host();
    check_norms({0, parts_.params.trained_elements()}, norms.data<double>());
    throw Error("the device refused a step of loss {}, but its numbers are finite", total_.loss);
  }

 private:
  static ShardScalars to_scalars(const double* numbers) {
    ShardScalars scalars;
    static_assert(sizeof scalars == StepRecord::kNumbers * sizeof(double));
    std::copy_n(numbers, StepRecord::kNumbers, reinterpret_cast<double*>(&scalars));
    return scalars;
  }

  std::unique_ptr<StepRecord> record_;
  std::vector<std::function<void(double loss)>> explain_;  // by shard
  bool stop_ = false, clipped_ = false;
};

}  // namespace

std::unique_ptr<StepNumbers> StepNumbers::make(const Parts& parts) {
  std::unique_ptr<StepRecord> record;
  const MemoryUse use(kUse);
  if (parts.plan.total_workers() == 1)
    record = make_step_record(parts.backend, parts.plan.shards(),
                              blocks_before(parts.params.trained_elements()));
  if (record == nullptr) return std::make_unique<HostNumbers>(parts);
  return std::make_unique<DeviceNumbers>(parts, std::move(record));
}

void StepNumbers::check_weight() const {
  if (!(total_.weight > 0))
    throw Error(
        "the weights of all {} rows of the batch add up to {}: nothing to learn from. Look "
        "at the dataset's labels (-1 is ignored) and weights",
        total_.rows, total_.weight);
}

void StepNumbers::check_norms(ElementRange slice, const double* norms) const {
  for (std::int64_t begin = slice.begin; begin < slice.end; begin += kBlockElements, ++norms) {
    if (std::isfinite(*norms)) continue;
    std::string names;
    for (const Param& param : parts_.params.all())
      if (param.offset < begin + kBlockElements && begin < param.offset + param.elements)
        names += (names.empty() ? "'" : ", '") + param.name + "'";
    throw Error(
        "the gradient of {} is not finite although the loss is. Lower optimizer.lr or set "
        "training.clip_norm; the last checkpoint is kept",
        names);
  }
}

}  // namespace lockstep
