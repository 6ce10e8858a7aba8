// Session: what every command that runs a network sets up from a config: back end, threads, shards,
// data, blueprint, team. What the config leaves to a rule (V, outputs, normalisation) is resolved
// here, once, and written back into it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/communication/node_dataset.h"
#include "runtime/config/config.h"
#include "runtime/run/class_check.h"
#include "runtime/run/device_choice.h"
#include "runtime/run/link_choice.h"
#include "runtime/step/team.h"
#include "runtime/step/warm_up.h"

namespace lockstep {

// Builds the network that model.network names for samples of this shape and so many outputs.
using NetworkFactory = std::function<std::unique_ptr<Layer>(
    const Config& config, const Shape& sample, std::int64_t outputs)>;

enum class Purpose {
  kTrain,     // the samples and targets of data.train
  kEvaluate,  // targets too
  kPredict,   // samples alone: no loss is made
};

class Session {
 public:
  // A collective of all ranks; `split` is the group whose samples the network sees first.
  // Adds lines for the log to log().
  // `samples`, where given, stand for that group: rows that no dataset file holds.
  // `on_device`, of a run that goes on to train: called before anything is asked of the device; the
  // part that it validates on is opened, too.
  Session(Config config, Purpose purpose, const std::string& split, Communicator& communicator,
          const NetworkFactory& networks, std::shared_ptr<const Dataset> samples = nullptr,
          const std::function<void(const DeviceChoice&)>& on_device = {});

  const Config& config() const { return config_; }
  Communicator& communicator() { return communicator_; }
  Backend& backend() { return *device_.backend; }
  const DeviceChoice& device() const { return device_; }
  Team& team() { return *team_; }
  const Blueprint& blueprint() const { return blueprint_; }  // valid as long as the session
  // The split: for training as it is stored, else as evaluated() gives it.
  const NodeDataset& data() const { return data_; }
  const std::optional<NodeDataset>& validation() const { return validation_; }
  // What a training on these data will ask of its device.
  const WarmUp& warm_up() const { return warm_up_; }
  // Another part of the same data, as evaluation and prediction see it.
  NodeDataset open(const std::string& split) { return evaluated(open_stored(split)); }
  // Without random transforms; where those change the size of images, the middle of each.
  NodeDataset evaluated(NodeDataset data) const;
  // What training sees instead of the stored samples; null without data.augment and training.
  std::shared_ptr<const Augmentation> augmentation() const { return augmentation_; }
  // Builds the network anew, with these parameters and statistics frozen. A collective.
  void rebuild(std::set<std::string> frozen);
  const std::string& probe() const { return probe_; }
  int threads() const { return threads_; }  // of this rank
  // In training, one line where outputs outnumber the data's classes; else "". In log() too.
  const std::string& outputs_note() const { return outputs_note_; }
  const std::vector<std::string>& log() const { return log_; }
  // Of a training on a GPU: what its memory is for; "" elsewhere.
  const std::string& memory_table() const { return memory_table_; }

 private:
  NodeDataset open_stored(const std::string& split);
  void resolve_outputs(const std::string& split);
  void check_output(const Shape& output) const;
  void augment(Purpose purpose);
  std::size_t allowed_memory() const;  // for all ranks of this node
  void choose_replicas();
  void fit_threads_to_memory(const Blueprint& blueprint, Purpose purpose);
  void plan_warm_up();
  void reserve_memory(const ShardPlan& plan, std::int64_t max_rows);
  Blueprint make_blueprint(Purpose purpose, const NetworkFactory& networks);

  Config config_;
  Purpose purpose_;
  Communicator& communicator_;
  DeviceChoice device_;
  LinkChoice link_;  // of a training on GPUs
  NodeDataset data_;
  std::optional<NodeDataset> validation_;
  WarmUp warm_up_;
  Shape stored_sample_, sample_;  // in the file; as the network sees it
  std::shared_ptr<const Augmentation> augmentation_;
  std::string probe_;
  int threads_ = 1;
  int replicas_ = 1;  // of the network on a GPU
  std::int64_t outputs_ = 0;
  ClassCheck classes_;  // classes: 0 where the targets are none
  std::string outputs_note_, memory_table_;
  std::vector<std::string> log_;
  Blueprint blueprint_;
  std::unique_ptr<Team> team_;
};

// An integer key of [model], 0 where there is none or it is not positive. It does not count as
// read: a network that has no such key refuses it all the same.
std::int64_t given_count(const ModelTable& table, std::string_view key);

// Writes into the config what it leaves to the data: the network's outputs (model.outputs) and the
// normalisation. Where nothing is trained, model.num_classes decides, not the data's classes.
void resolve_from_data(Config& config, const Dataset& data, Purpose purpose);

DataSource data_source(const DataConfig& data, const std::string& split);

}  // namespace lockstep
