#include "runtime/run/memory_plan.h"

#include <algorithm>

namespace lockstep {

namespace {

// The rest is for what is not reckoned: workspaces of operations, rows read ahead, the program.
constexpr double kReckonedShare = 0.9;

std::int64_t rows_of(std::int64_t batch, std::int64_t shards) {
  return (batch + shards - 1) / shards;
}

// Bytes of this rank with so many workers: replicas, their gradients, weights and optimizer state.
double need(const MemoryQuestion& question, std::int64_t shards, int threads) {
  const ReplicaMemory& replica = question.replica;
  const double shared = (1 + question.states) * replica.flat / question.flat_sharers +
                        replica.packed / question.packed_sharers;
  const double bytes = threads * replica.bytes(rows_of(question.batch, shards)) + shared;
  if (!question.trains) return bytes;
  std::vector<int> workers(static_cast<std::size_t>(question.ranks), 1);
  workers[static_cast<std::size_t>(question.rank)] = threads;
  const ShardPlan plan(shards, std::move(workers));
  int gradients = 0;
  for (int worker = 0; worker < threads; ++worker)
    gradients += counter_depth(plan.of_worker(question.rank, worker));
  return bytes + gradients * replica.flat;
}

}  // namespace

ReplicaMemory measure_replica(const Blueprint& blueprint, Backend& backend) {
  const std::unique_ptr<Stream> stream = backend.make_stream(0);
  const auto measure = [&](std::int64_t rows) {
    Replica replica(blueprint, rows, backend, *stream);
    return ReplicaMemory{static_cast<double>(replica.buffer_bytes()), 0,
                         static_cast<double>(replica.elements()) * sizeof(float),
                         static_cast<double>(replica.build().packed_bytes())};
  };
  ReplicaMemory memory = measure(1);
  memory.per_row = measure(2).fixed - memory.fixed;
  memory.fixed -= memory.per_row;
  return memory;
}

MemoryAnswer fit_threads(const MemoryQuestion& question, int threads) {
  const double share =
      std::max(0.0, kReckonedShare * question.allowed - question.taken) / question.local_ranks;
  // More workers than shards hold nothing more, but for their replicas.
  MemoryAnswer answer{threads, {}};
  while (answer.threads > 1 && need(question, question.shards, answer.threads) > share)
    --answer.threads;
  const double least = need(question, question.shards, answer.threads);
  if (least <= share) {
    if (answer.threads < threads)
      answer.note = fmt::format(
          "memory: {} of {} worker threads run, one shard after another: {} need {}, and a rank "
          "may use {}; the results are the same",
          answer.threads, threads, threads, memory_text(need(question, question.shards, threads)),
          memory_text(share));
    return answer;
  }

  const std::string shortage = fmt::format(
      "a shard of {} rows needs {} of memory, weights and gradients included, but a rank may use "
      "{} ({} rank{} on this node, {} allowed{})",
      rows_of(question.batch, question.shards), memory_text(least), memory_text(share),
      question.local_ranks, question.local_ranks == 1 ? "" : "s", memory_text(question.allowed),
      question.taken > 0 ? fmt::format(", of which the data take {}", memory_text(question.taken))
                         : "");
  for (std::int64_t shards = 2 * question.shards; shards / 2 < question.batch; shards *= 2)
    if (need(question, shards, 1) <= share)
      throw Error("{}. Set run.shards = {}, the smallest that fits (it changes the result)",
                  shortage, shards);
  throw Error("{}. Not even shards of one row fit: start fewer ranks a node, or allow more memory",
              shortage);
}

std::string memory_text(double bytes) {
  constexpr double kUnit = 1024;
  if (bytes < kUnit * kUnit) return fmt::format("{:.0f} KiB", bytes / kUnit);
  if (bytes < kUnit * kUnit * kUnit) return fmt::format("{:.1f} MiB", bytes / kUnit / kUnit);
  return fmt::format("{:.1f} GiB", bytes / kUnit / kUnit / kUnit);
}

}  // namespace lockstep
