#include "runtime/run/rehearsal.h"

#include <algorithm>
#include <cmath>

#include "runtime/run/memory_plan.h"
#include "runtime/step/trainer.h"

namespace lockstep {

namespace {

struct RehearsedLane {
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Replica> replica;
};

int lanes_of(const RehearsedTraining& training) {
  const auto shards = static_cast<int>(training.shards.of_worker(training.rank, 0).count());
  return std::clamp(shards, 1, training.lanes);
}

// What a step keeps on the device beside the replicas, as the exchanges and the lanes allocate it:
// the first tensor is that of the values, the second one of gradients.
std::vector<Tensor> step_memory(Backend& backend, const ParamSet& params,
                                const RehearsedTraining& training) {
  const RunConfig& run = training.config.run;
  const ShardPlan& shards = training.shards;
  const std::int64_t ranks = shards.ranks();
  const bool tree = run.reduction == Reduction::kTree;
  const std::int64_t spare = training.linked && tree ? (ranks + 1) * kBlockElements : 0;
  const std::int64_t trained = params.trained_elements() + spare;
  std::vector<Tensor> memory;
  const auto take = [&](const char* use, std::int64_t elements, DType type = DType::kFloat32) {
    const MemoryUse named(use);
    memory.push_back(backend.empty({elements}, type));
  };
  const ShardRange own = shards.of_worker(training.rank, 0);
  const int depth = counter_depth(own), lanes = lanes_of(training);
  take("weights", params.elements() + spare);
  for (int i = 0; i < depth; ++i) take("gradients", trained);
  for (std::size_t i = 0; i < state_names(training.config).size(); ++i)
    take("optimizer state", trained);

  std::int64_t subtrees = 0, foreign = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto count = std::ssize(canonical_subtrees(shards.of_rank(rank)));
    subtrees += count;
    if (rank != training.rank) foreign += count;
  }
  const char* const received = "gradients of all ranks";
  const std::vector<ElementRange> buckets =
      make_buckets(params.trained_elements(), kBucketElements);
  std::int64_t longest = 0;
  for (const ElementRange& bucket : buckets) {
    const std::int64_t blocks = (bucket.count() + kBlockElements - 1) / kBlockElements;
    const std::int64_t slice = (blocks + ranks - 1) / ranks * kBlockElements;
    longest = std::max(longest, slice * ranks);
    if (training.linked && tree)
      take(received, ranks > 1 ? std::max(ranks, foreign) * slice : 0);
    else if (!training.linked && ranks > 1)
      for (std::int64_t i = 0; i < (tree ? subtrees : 1); ++i)
        take(received, tree ? slice : bucket.count());
  }
  if (training.linked && run.exchange_type == ExchangeType::kBFloat16) {
    take(received, longest, DType::kBFloat16);
    take(received, longest, DType::kBFloat16);
    take(received, longest);
  }
  int nodes = lanes == 1 ? 0 : -depth;
  for (int lane = 0; lane < lanes && lanes > 1; ++lane)
    nodes += counter_depth(part_of(own, lanes, lane));
  for (int i = 0; i < nodes; ++i) take("gradients", params.trained_elements());
  return memory;
}

// Three things to try. Rows of a shard are what activations grow with.
std::string advice(const RehearsedTraining& training, const ReplicaMemory& replica,
                   std::size_t needed, std::size_t free) {
  const Config& config = training.config;
  const double per_row = lanes_of(training) * replica.per_row;
  const double over = static_cast<double>(needed) - static_cast<double>(free);
  const auto most = static_cast<double>(training.max_rows);
  // Where the plan fits, and memory ends all the same, half of it.
  const double rows = over > 0 ? std::floor(most - over / std::max(1.0, per_row)) : most / 2;
  const auto fitting = static_cast<std::int64_t>(rows);
  std::string text = "\nTry one of these:";
  if (fitting >= 1) {
    text += fmt::format("\n  training.batch = {} (shards of {} rows, where they have {})",
                        fitting * config.run.shards, fitting, training.max_rows);
    std::int64_t shards = config.run.shards;
    while ((config.training.batch + shards - 1) / shards > fitting) shards *= 2;
    text += fmt::format("\n  run.shards = {} (a GPU runs its shards one after another)", shards);
  } else {
    text +=
        "\n  a smaller network: not even shards of one row fit\n  fewer states of the optimizer: "
        "optimizer.kind = \"sgd\", training.ema = 0";
  }
  if (lanes_of(training) > 1)
    return text + "\n  run.replicas = 1 (so many shards at a time have activations of their own)";
  if (config.run.precision != Precision::kBFloat16)
    return text + "\n  run.precision = \"bfloat16\" (activations take half of their memory)";
  return text + "\n  a GPU on which nobody else computes, or one with more memory";
}

}  // namespace

MemoryPlan rehearse(const DeviceChoice& device, const RehearsedTraining& training) {
  const std::unique_ptr<Backend> backend = device.library->rehearsal(*device.backend);
  const auto packed = std::make_shared<PackedCopies>();
  std::vector<RehearsedLane> lanes(static_cast<std::size_t>(lanes_of(training)));
  for (RehearsedLane& lane : lanes) lane.stream = backend->make_stream(0);
  for (RehearsedLane& lane : lanes) {
    const MemoryUse use(kReplicaUse);
    lane.replica = std::make_unique<Replica>(training.blueprint, training.max_rows, *backend,
                                             *lane.stream, packed);
  }
  const ParamSet& params = lanes.front().replica->params();
  const std::vector<Tensor> memory = step_memory(*backend, params, training);
  std::unique_ptr<StepRecord> record;
  if (training.shards.total_workers() == 1) {
    const MemoryUse use(StepNumbers::kUse);
    record = make_step_record(*backend, training.shards.shards(),
                              (params.trained_elements() + kBlockElements - 1) / kBlockElements);
  }
  try {
    for (RehearsedLane& lane : lanes) {
      lane.replica->params().bind_values(*backend, memory[0].data<float>());
      lane.replica->params().bind_gradients(*backend, memory[1].data<float>());
      warm_up_training(*lane.replica, training.warm_up, 1);
    }
    warm_up_evaluation(*lanes.front().replica, training.warm_up, 1);
  } catch (const Error& error) {
    throw Error(
        "{}\nThat is with run.precision = \"{}\", model.convolution = \"{}\", training.batch = {} "
        "and run.shards = {}: another value of one of them asks for another plan",
        error.what(), name_of(training.config.run.precision),
        name_of(training.config.model.convolution), training.config.training.batch,
        training.config.run.shards);
  }
  const MemoryReport counted = device.library->memory(*backend);
  const std::unique_ptr<Backend> scale = device.library->rehearsal(*device.backend);
  return {
      counted.rows, counted.bytes,
      advice(training, measure_replica(training.blueprint, *scale), counted.bytes, counted.free)};
}

}  // namespace lockstep
