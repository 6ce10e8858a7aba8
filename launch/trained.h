// TrainedModel: the network of a run folder (or of a config with model.weights) with its weights,
// on all ranks: what evaluate and predict work with.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/run/node_values.h"
#include "runtime/run/session.h"

namespace lockstep {

struct ModelArguments {
  std::string run_or_config;  // a run folder, or a TOML file with model.weights
  std::vector<std::string> overrides;
  bool best = false;  // the run's best checkpoint rather than its last weights
};
void add_best_flag(CLI::App& command, ModelArguments& arguments);

// The config, and in model.weights the file to read: of a run folder its weights.safetensors, or
// the newest undamaged checkpoint while it has none; or its best checkpoint, where that is asked
// for.
Config load_trained_config(const ModelArguments& arguments);

class TrainedModel {
 public:
  TrainedModel(const Config& config, Purpose purpose, const std::string& split,
               Communicator& communicator, const NetworkFactory& networks,
               std::shared_ptr<const Dataset> samples = nullptr);

  Session& session() { return *session_; }

 private:
  std::unique_ptr<Session> session_;
  std::optional<NodeValues> values_;
};

}  // namespace lockstep
