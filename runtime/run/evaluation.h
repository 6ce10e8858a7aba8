// Evaluation and prediction over a whole split: the training batch and V, file order, every row
// once. Sums are doubles that meet in the fixed tree, so metrics are equal to the bit on any ranks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/loading/loader.h"
#include "runtime/communication/node_dataset.h"
#include "runtime/step/team.h"

namespace lockstep {

struct Evaluation {
  std::int64_t rows = 0;
  double loss = 0;
  std::vector<std::pair<std::string, double>> metrics;  // "accuracy", ... in the loss's order
  std::vector<std::int64_t> confusion;  // (true, predicted), row-major; if asked for

  double metric(const std::string& name) const;  // "loss" too; throws Error when unknown
};

struct EvaluationOptions {
  std::int64_t batch = 0;  // the training's
  bool confusion = false;  // of a classification
  std::int64_t weights_version = 0;
};

// A collective of all ranks.
Evaluation evaluate(Team& team, const NodeDataset& data, const EvaluationOptions& options);

// The network's outputs for every row in file order, (rows, outputs...); whole on every rank.
Tensor predict(Team& team, const NodeDataset& data, const EvaluationOptions& options);

// Loss and metrics of sums that were added over shards and steps.
Evaluation summarize(const ShardScalars& total, const Loss& loss);

}  // namespace lockstep
