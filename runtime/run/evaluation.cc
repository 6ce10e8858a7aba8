#include "runtime/run/evaluation.h"

#include <cstring>
#include <optional>

#include "runtime/run/split_rows.h"

namespace lockstep {

namespace {

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// Collects what single rows gave: every shard puts its rows where they stand in the file.
class RowCollector {
 public:
  RowCollector(Team& team, const Dataset& data, const BatchPlan& plan, Head head)
      : team_(team), plan_(plan), head_(head) {
    const Shape& output = team.replica().output_shape();
    results_.outputs = host_tensor(output.with_rows(plan.rows), DType::kFloat32);
    if (output.rank() == 1) results_.predicted = host_tensor({plan.rows}, DType::kInt64);
    if (data.target() == TargetKind::kClass)
      results_.targets = host_tensor({plan.rows}, DType::kInt64);
    else if (data.target() == TargetKind::kValues)
      results_.targets = host_tensor({plan.rows, data.target_columns()}, DType::kFloat32);
  }

  // `output` may be overwritten.
  void take(Worker& worker, std::int64_t step, std::int64_t shard, const ShardBatch& batch,
            Tensor output) {
    if (batch.rows == 0) return;
    const std::int64_t first = first_row(plan_, step, shard);
    if (results_.predicted) put_rows(results_.predicted, first, predicted(worker, output));
    Backend& backend = team_.backend();
    if (head_ == Head::kSigmoid)
      backend.activation_forward(worker.stream(), Activation::kSigmoid, output, output);
    Tensor result = output;
    if (head_ == Head::kSoftmax) {
      result = backend.empty(output.shape());
      backend.softmax_forward(worker.stream(), output, result);
    }
    put_rows(results_.outputs, first, result.to_host());
    if (results_.targets) put_rows(results_.targets, first, batch.y);
  }

  // A collective: the rows of the other ranks come in.
  RowResults gathered() {
    for (Tensor* tensor : {&results_.outputs, &results_.predicted, &results_.targets})
      if (*tensor) gather_rows(team_, plan_, *tensor);
    return results_;
  }

 private:
  Tensor predicted(Worker& worker, const Tensor& output) {
    if (output.shape().back() > 1) {
      Tensor index = team_.backend().empty({output.rows()}, DType::kInt64);
      team_.backend().argmax(worker.stream(), output, index);
      return index.to_host();
    }
    const Tensor host = output.to_host(), result = host_tensor({output.rows()}, DType::kInt64);
    for (std::int64_t row = 0; row < output.rows(); ++row)
      result.data<std::int64_t>()[row] = host.data<float>()[row] > 0 ? 1 : 0;
    return result;
  }

  Team& team_;
  BatchPlan plan_;
  Head head_;
  RowResults results_;
};

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

Head probabilities(LossKind loss) {
  if (loss == LossKind::kCrossEntropy) return Head::kSoftmax;
  if (loss == LossKind::kBinaryCrossEntropy) return Head::kSigmoid;
  return Head::kRaw;
}

Evaluation evaluate(Team& team, const NodeDataset& data, const EvaluationOptions& options,
                    RowResults* rows) {
  const BatchPlan plan = split_plan(team, *data.data, options.batch);
  // (step, shard) of this rank's shards, then of all ranks'.
  const auto shards = static_cast<std::size_t>(plan.shards);
  const auto own = static_cast<std::size_t>(team.shards().count());
  const auto steps = static_cast<std::size_t>(plan.steps_per_epoch());
  std::vector<ShardScalars> mine(steps * own);
  std::optional<RowCollector> collector;
  if (rows) collector.emplace(team, *data.data, plan, options.head);

  for_each_shard(
      team, plan, data,
      [&](Worker& worker, std::int64_t step, std::int64_t shard, const ShardBatch& batch) {
        const auto place = static_cast<std::size_t>(step) * own +
                           static_cast<std::size_t>(shard - team.shards().begin);
        const Tensor output =
            worker.replica().evaluate_shard(batch, options.weights_version, mine[place]);
        if (collector) collector->take(worker, step, shard, batch, output);
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
  if (collector) *rows = collector->gathered();
  return summarize(total_scalars(by_step), team.replica().loss());
}

RowResults predict(Team& team, const NodeDataset& data, const EvaluationOptions& options) {
  const BatchPlan plan = split_plan(team, *data.data, options.batch);
  RowCollector collector(team, *data.data, plan, options.head);
  for_each_shard(
      team, plan, data,
      [&](Worker& worker, std::int64_t step, std::int64_t shard, const ShardBatch& batch) {
        if (batch.rows == 0) return;
        collector.take(worker, step, shard, batch,
                       worker.replica().predict(batch, options.weights_version));
      });
  return collector.gathered();
}

}  // namespace lockstep
