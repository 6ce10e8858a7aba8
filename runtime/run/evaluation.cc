#include "runtime/run/evaluation.h"

#include <cstring>
#include <numeric>

namespace lockstep {

namespace {

BatchPlan make_plan(const Team& team, const Dataset& data, std::int64_t batch) {
  return {data.rows(), batch, team.plan().shards(), false};
}

// Calls visit(worker, step, shard, batch) for every shard of this rank, on the worker's stream.
template <typename Visit>
void for_each_shard(Team& team, const BatchPlan& plan, const NodeDataset& data,
                    const Visit& visit) {
  LoaderOptions options;
  options.plan = plan;
  options.shuffle = false;
  options.resident = data.resident;
  options.last_step = plan.steps_per_epoch();
  options.shards.resize(static_cast<std::size_t>(team.shards().count()));
  std::iota(options.shards.begin(), options.shards.end(), team.shards().begin);
  const std::unique_ptr<Loader> loader = Loader::make(data.data, options);
  team.run([&](Worker& worker) {
    for (std::int64_t step = 0; step < plan.steps_per_epoch(); ++step)
      for (std::int64_t shard = worker.shards.begin; shard < worker.shards.end; ++shard)
        visit(worker, step, shard, loader->fetch(step, shard));
  });
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// One row of `confusion` a true class, one column a predicted one; rows without a label are left
// out.
void count_confusion(Worker& worker, Backend& backend, const Tensor& output, const Tensor& target,
                     std::int64_t classes, std::vector<std::int64_t>& confusion) {
  Tensor predicted = backend.empty({output.rows()}, DType::kInt64);
  if (output.shape().back() == 1) {  // one logit: class 1 where it is positive
    const Tensor host = output.to_host();
    for (std::int64_t row = 0; row < output.rows(); ++row)
      predicted.data<std::int64_t>()[row] = host.data<float>()[row] > 0 ? 1 : 0;
  } else {
    backend.argmax(*worker.stream, output, predicted);
  }
  const Tensor host = predicted.to_host();
  for (std::int64_t row = 0; row < output.rows(); ++row) {
    const std::int64_t label = target.data<std::int64_t>()[row];
    if (label < 0) continue;
    ++confusion[static_cast<std::size_t>(label * classes + host.data<std::int64_t>()[row])];
  }
}

}  // namespace

double Evaluation::metric(const std::string& name) const {
  if (name == "loss") return loss;
  std::string known = "loss";
  for (const auto& [key, value] : metrics) {
    if (key == name) return value;
    known += ", " + key;
  }
  throw Error("there is no metric '{}' here; choose one of: {}", name, known);
}

Evaluation summarize(const ShardScalars& total, const Loss& loss) {
  Evaluation result;
  result.rows = static_cast<std::int64_t>(total.rows);
  result.loss = total.loss / total.weight;
  const std::vector<std::string> names = loss.metric_names();
  const std::vector<double> values = loss.metrics(total.metrics, total.rows);
  for (std::size_t i = 0; i < names.size(); ++i) result.metrics.emplace_back(names[i], values[i]);
  return result;
}

Evaluation evaluate(Team& team, const NodeDataset& data, const EvaluationOptions& options) {
  const BatchPlan plan = make_plan(team, *data.data, options.batch);
  const std::int64_t outputs = team.replica().output_shape().back();
  const std::int64_t classes = outputs == 1 ? 2 : outputs;
  // (step, shard) of this rank's shards, then of all ranks'.
  const auto shards = static_cast<std::size_t>(plan.shards);
  const auto own = static_cast<std::size_t>(team.shards().count());
  const auto steps = static_cast<std::size_t>(plan.steps_per_epoch());
  std::vector<ShardScalars> mine(steps * own);
  std::vector<std::vector<std::int64_t>> confusions(
      team.workers().size(),
      std::vector<std::int64_t>(options.confusion ? static_cast<std::size_t>(classes * classes)
                                                  : 0));

  for_each_shard(
      team, plan, data,
      [&](Worker& worker, std::int64_t step, std::int64_t shard, const ShardBatch& batch) {
        const auto place = static_cast<std::size_t>(step) * own +
                           static_cast<std::size_t>(shard - team.shards().begin);
        const Tensor output =
            worker.replica->evaluate_shard(batch, options.weights_version, mine[place]);
        if (options.confusion && batch.rows > 0)
          count_confusion(worker, team.backend(), output, batch.y, classes,
                          confusions[static_cast<std::size_t>(worker.index)]);
      });

  std::vector<ShardScalars> all(steps * shards);
  const std::vector<std::string> tables = team.communicator().all_gather(bytes_of(mine));
  for (int rank = 0; rank < team.plan().ranks(); ++rank) {
    const ShardRange range = team.plan().of_rank(rank);
    const auto count = static_cast<std::size_t>(range.count());
    for (std::size_t step = 0; step < steps; ++step)
      std::memcpy(
          &all[step * shards + static_cast<std::size_t>(range.begin)],
          tables[static_cast<std::size_t>(rank)].data() + step * count * sizeof(ShardScalars),
          count * sizeof(ShardScalars));
  }
  std::vector<ShardScalars> by_step;
  for (std::size_t step = 0; step < steps; ++step)
    by_step.push_back(total_scalars(std::span(all).subspan(step * shards, shards)));
  Evaluation result = summarize(total_scalars(by_step), team.replica().loss());

  if (options.confusion) {
    std::vector<std::int64_t> sum(confusions[0].size());
    for (const auto& confusion : confusions)
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += confusion[i];
    result.confusion.resize(sum.size());
    for (const std::string& bytes : team.communicator().all_gather(bytes_of(sum)))
      for (std::size_t i = 0; i < sum.size(); ++i) {
        std::int64_t count;
        std::memcpy(&count, bytes.data() + i * sizeof count, sizeof count);
        result.confusion[i] += count;
      }
  }
  return result;
}

Tensor predict(Team& team, const NodeDataset& data, const EvaluationOptions& options) {
  const BatchPlan plan = make_plan(team, *data.data, options.batch);
  const std::int64_t outputs = team.replica().output_shape().elements();
  const Tensor result =
      host_tensor(team.replica().output_shape().with_rows(data.data->rows()), DType::kFloat32);
  const std::size_t row_bytes = static_cast<std::size_t>(outputs) * sizeof(float);

  for_each_shard(
      team, plan, data,
      [&](Worker& worker, std::int64_t step, std::int64_t shard, const ShardBatch& batch) {
        if (batch.rows == 0) return;
        const Tensor output = worker.replica->predict(batch, options.weights_version).to_host();
        const std::int64_t first = step * plan.batch + plan.shard_rows(step, shard).begin;
        std::memcpy(result.raw() + static_cast<std::size_t>(first) * row_bytes, output.raw(),
                    output.bytes());
      });

  // Every rank gathers the rows of the others: rank after rank, step after step.
  const auto for_rows_of = [&](int rank, auto&& visit) {
    const ShardRange range = team.plan().of_rank(rank);
    for (std::int64_t step = 0; step < plan.steps_per_epoch(); ++step) {
      const std::int64_t begin = plan.shard_rows(step, range.begin).begin;
      const std::int64_t end = plan.shard_rows(step, range.end - 1).end;
      visit(result.raw() + static_cast<std::size_t>(step * plan.batch + begin) * row_bytes,
            static_cast<std::size_t>(end - begin) * row_bytes);
    }
  };
  if (team.plan().ranks() == 1) return result;
  std::string mine;
  for_rows_of(team.communicator().rank(), [&](std::byte* rows, std::size_t bytes) {
    mine.append(reinterpret_cast<const char*>(rows), bytes);
  });
  const std::vector<std::string> tables = team.communicator().all_gather(mine);
  for (int rank = 0; rank < team.plan().ranks(); ++rank) {
    const char* from = tables[static_cast<std::size_t>(rank)].data();
    for_rows_of(rank, [&](std::byte* rows, std::size_t bytes) {
      std::memcpy(rows, from, bytes);
      from += bytes;
    });
  }
  return result;
}

}  // namespace lockstep
