#include "runtime/run/activations.h"

#include <cstring>
#include <mutex>

#include "runtime/run/split_rows.h"

namespace lockstep {

namespace {

// Keeps what the layers before the wanted one gave out last.
class InputObserver final : public LayerObserver {
 public:
  explicit InputObserver(const std::string& path) : path_(path) {}

  void output(const std::string& path, const Tensor& y) override {
    if (path == path_) {
      met_ = true;
      if (last_) input_ = host_floats(last_);  // a layer leaves its input as it is
      return;
    }
    if (met_) return;
    last_ = y;
    name_ = path;
  }
  void gradient(const std::string&, const Tensor&) override {}

  bool met() const { return met_; }
  const Tensor& input() const { return input_; }
  const std::string& name() const { return name_; }

 private:
  const std::string& path_;
  bool met_ = false;
  Tensor last_, input_;
  std::string name_;
};

}  // namespace

Activations inputs_of_layer(Team& team, const NodeDataset& data, const EvaluationOptions& options,
                            const std::string& path) {
  const BatchPlan plan = split_plan(team, *data.data, options.batch);
  Activations result;
  std::mutex mutex;  // of result, before it is made
  for_each_shard(
      team, plan, data,
      [&](Worker& worker, std::int64_t step, std::int64_t shard, const ShardBatch& batch) {
        if (batch.rows == 0) return;
        InputObserver observer(path);
        worker.replica().predict(batch, options.weights_version, &observer);
        const Tensor& x = observer.input();
        if (!observer.met())
          throw Error("the network has no layer '{}' whose input could be shown", path);
        if (!x)
          throw Error("layer '{}' is the network's first: there is no hidden layer before it",
                      path);
        const Shape columns{x.elements() / x.rows()};
        {
          const std::lock_guard lock(mutex);
          if (!result.values) {
            result.values = host_tensor(columns.with_rows(plan.rows), DType::kFloat32);
            result.layer = observer.name();
          }
        }
        put_rows(result.values, first_row(plan, step, shard), x);
      });
  // A rank whose shards are empty has seen no tensor, and takes part in the gathering.
  Communicator& communicator = team.communicator();
  const std::vector<std::string> columns = communicator.all_gather(
      result.values ? std::to_string(result.values.shape()[1]) : std::string());
  const std::vector<std::string> layers = communicator.all_gather(result.layer);
  for (std::size_t rank = 0; rank < columns.size(); ++rank) {
    if (result.values || columns[rank].empty()) continue;
    result.values = host_tensor({plan.rows, std::stoll(columns[rank])}, DType::kFloat32);
    result.layer = layers[rank];
  }
  gather_rows(team, plan, result.values);
  return result;
}

}  // namespace lockstep
