#include "runtime/step/trainer.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "runtime/communication/agreement.h"
#include "runtime/communication/linked_exchange.h"
#include "runtime/step/schedule.h"

namespace lockstep {

namespace {

PlanReduction reduction_of(const RunConfig& run) {
  if (run.reduction == Reduction::kTree) return PlanReduction::kTree;
  return run.exchange_type == ExchangeType::kBFloat16 ? PlanReduction::kFastBFloat16
                                                      : PlanReduction::kFast;
}

}  // namespace

std::vector<std::string> state_names(const Config& config) {
  std::vector<std::string> names = Optimizer::make(config.optimizer)->states();
  if (config.training.ema > 0) names.emplace_back(kAverageState);
  return names;
}

TrainingSpan whole_run(const Config& config, const BatchPlan& plan) {
  const TrainingConfig& training = config.training;
  const std::int64_t steps =
      training.steps > 0 ? training.steps : training.epochs * plan.steps_per_epoch();
  return {config.optimizer.lr, config.schedule, 0, steps};
}

Trainer::Trainer(const Config& config, Team& team, const NodeDataset& data, const BatchPlan& plan,
                 TrainingSpan span, std::shared_ptr<const Augmentation> augmentation)
    : config_(config),
      team_(team),
      data_(data),
      plan_(plan),
      augmentation_(std::move(augmentation)),
      span_(std::move(span)),
      optimizer_(Optimizer::make(config.optimizer)),
      state_names_(lockstep::state_names(config)),
      buckets_(make_buckets(team.params().trained_elements(), kBucketElements)),
      rule_{*optimizer_,
            make_segments(team.params(), config.optimizer, span_.first_steps),
            config.training.clip_norm,
            config.training.clip_value,
            {static_cast<float>(config.loss.l1), static_cast<float>(config.loss.l2)},
            config.training.ema} {
  const ParamSet& params = team.params();
  const ExchangePlan exchange{params.trained_elements(),
                              buckets_,
                              kShardScalars,
                              static_cast<int>(state_names_.size()),
                              config.run.patience_seconds,
                              reduction_of(config.run),
                              params.elements() - params.trained_elements()};
  exchange_ = make_training_exchange(team.communicator(), team.link(), exchange, team.plan(),
                                     team.backend());
  team.bind_values(exchange_->values());
  team.share_packed_copies(config.run.patience_seconds);
  for (Worker& worker : team.workers()) {
    Stream& stream = worker.update_stream();
    std::vector<Stream*> others = worker.streams();
    std::erase(others, &stream);
    const ParamSet& own = worker.replica().params();
    exchange_->attach(worker.index, stream);
    lanes_.push_back(std::make_unique<Lanes>(worker, buckets_, *exchange_, team.backend()));
    numbers_.push_back(StepNumbers::make({own, team.plan(), worker.shards, *exchange_, worker.index,
                                          team.backend(), stream, std::move(others)}));
    updaters_.push_back(std::make_unique<Updater>(own, buckets_, *numbers_.back(), *exchange_,
                                                  worker.index, rule_, team.backend(), stream));
  }
}

StepResult Trainer::step() {
  if (!loader_) start_loader();
  const double lr = learning_rate(span_.schedule, span_.lr, step_ - span_.first_step,
                                  plan_.steps_per_epoch(), span_.steps);
  team_.run([&](Worker& worker) {
    const auto index = static_cast<std::size_t>(worker.index);
    Lanes& lanes = *lanes_[index];
    lanes.begin_step(step_, weights_version_);
    for (const auto& [lane, shard] : lanes.turns())
      worker.lanes[lane].replica->train_shard(loader_->fetch(step_, shard), shard, step_,
                                              weights_version_, lanes.reducer(lane),
                                              *numbers_[index]);
    lanes.end_step();
    numbers_[index]->publish(stop_requested_.load(std::memory_order_relaxed));
    updaters_[index]->update(step_, lr);
  });
  ++weights_version_;
  return {step_++, lr, numbers_[0]->total(), numbers_[0]->gradient_norm()};
}

// What shapes of shards take of a device's memory is there before the first step, or its lack is
// told before it.
void Trainer::warm_up() {
  std::set<std::int64_t, std::greater<>> sizes;  // workspaces grow once
  for (const std::int64_t step : {std::int64_t{0}, plan_.steps_per_epoch() - 1})
    for (std::int64_t shard = 0; shard < plan_.shards; ++shard) {
      const auto rows = plan_.shard_rows(step, shard);
      sizes.insert(rows.end - rows.begin);
    }
  team_.run([&](Worker& worker) {
    const Lanes& lanes = *lanes_[static_cast<std::size_t>(worker.index)];
    for (std::size_t l = 0; l < worker.lanes.size(); ++l) {
      Replica& replica = *worker.lanes[l].replica;
      replica.params().bind_gradients(team_.backend(), lanes.node(l, 0), nullptr);
      for (const std::int64_t rows : sizes) replica.warm_up(rows, weights_version_);
    }
  });
}

void Trainer::start_loader() {
  LoaderOptions options;
  options.plan = plan_;
  options.seed = config_.run.seed;
  options.shards.resize(static_cast<std::size_t>(team_.shards().count()));
  std::iota(options.shards.begin(), options.shards.end(), team_.shards().begin);
  options.augmentation = augmentation_;
  options.resident = data_.resident;
  options.first_step = step_;
  options.last_step = end_step();
  loader_ = Loader::make(data_.data, options);
}

void Trainer::keep_gradients(bool keep) {
  if (keep != kept_gradient_.empty()) return;
  kept_gradient_.assign(keep ? static_cast<std::size_t>(team_.params().elements()) : 0, 0.0f);
  for (const auto& updater : updaters_)
    updater->keep_gradient(keep ? kept_gradient_.data() : nullptr);
}

std::vector<float> Trainer::gradient(ElementRange range) const {
  // Each rank sends what it owns of the range, each piece behind its place.
  std::string mine;
  for (const Worker& worker : team_.workers())
    for (int bucket = 0; bucket < static_cast<int>(buckets_.size()); ++bucket) {
      const ElementRange piece = intersect(exchange_->slice(worker.index, bucket), range);
      if (piece.count() == 0) continue;
      mine.append(reinterpret_cast<const char*>(&piece), sizeof piece);
      mine.append(reinterpret_cast<const char*>(kept_gradient_.data() + piece.begin),
                  static_cast<std::size_t>(piece.count()) * sizeof(float));
    }
  std::vector<float> gradient(static_cast<std::size_t>(range.count()));
  for (const std::string& pieces : team_.communicator().all_gather(mine))
    for (std::size_t at = 0; at < pieces.size();) {
      ElementRange piece;
      std::memcpy(&piece, pieces.data() + at, sizeof piece);
      at += sizeof piece;
      const std::size_t bytes = static_cast<std::size_t>(piece.count()) * sizeof(float);
      std::memcpy(gradient.data() + (piece.begin - range.begin), pieces.data() + at, bytes);
      at += bytes;
    }
  return gradient;
}

void Trainer::take_averages() {
  if (config_.training.ema == 0) return;
  const int average = static_cast<int>(state_names_.size()) - 1;
  exchange_->share_state(average);
  team_.bind_trained_values(exchange_->state(average));
  ++weights_version_;
}

void Trainer::take_weights() {
  if (config_.training.ema == 0) return;
  team_.communicator().barrier();  // nobody reads averages any more
  team_.bind_values(exchange_->values());
  ++weights_version_;
}

Snapshot Trainer::snapshot() {
  exchange_->gather_states();
  Snapshot snapshot;
  snapshot.step = step_;
  if (team_.communicator().rank() != 0) return snapshot;
  const auto copy = [](const float* flat, std::int64_t elements) {
    return std::vector<float>(flat, flat + elements);
  };
  snapshot.values = copy(exchange_->host_values(), team_.params().elements());
  for (std::size_t i = 0; i < state_names_.size(); ++i)
    snapshot.states.push_back(
        copy(exchange_->host_state(static_cast<int>(i)), team_.params().trained_elements()));
  return snapshot;
}

void Trainer::restore(std::int64_t step,
                      const std::function<void(float* values, std::vector<float*> states)>& fill) {
  together(team_.communicator(), [&] {
    if (!exchange_->fill_here()) return;
    std::vector<float*> states;
    for (std::size_t i = 0; i < state_names_.size(); ++i)
      states.push_back(exchange_->host_state(static_cast<int>(i)));
    team_.params().bind_values(team_.backend(), exchange_->host_values());
    fill(exchange_->host_values(), states);
  });
  team_.bind_values(exchange_->values());
  exchange_->filled();
  step_ = step;
  ++weights_version_;
  loader_.reset();
  if (!team_.backend().memory_is_host()) warm_up();
}

}  // namespace lockstep
