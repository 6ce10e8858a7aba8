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

  double metric(const std::string& name) const;  // "loss" too; throws Error when unknown
};

// What the network's outputs become.
enum class Head { kRaw, kSigmoid, kSoftmax };
Head probabilities(LossKind loss);  // the head that makes them probabilities; kRaw for values

struct EvaluationOptions {
  std::int64_t batch = 0;            // the training's
  std::int64_t weights_version = 1;  // the trainer's, where there is one; see PackedCopy
  Head head = Head::kRaw;            // of `outputs` below
};

// Every row of a split in file order, whole on every rank.
struct RowResults {
  Tensor outputs;    // float32 (rows, outputs...), behind the head
  Tensor predicted;  // int64 (rows): the class, of networks that end in a vector; of one output
                     // class 1 where it is positive before the head
  Tensor targets;    // as the dataset has them; undefined where it has none
};

// Collectives of all ranks. `rows`, where given, takes what single rows gave; that is gathered, so
// it costs the memory of all outputs on every rank.
Evaluation evaluate(Team& team, const NodeDataset& data, const EvaluationOptions& options,
                    RowResults* rows = nullptr);
RowResults predict(Team& team, const NodeDataset& data, const EvaluationOptions& options);

// Loss and metrics of sums that were added over shards and steps.
Evaluation summarize(const ShardScalars& total, const Loss& loss);

}  // namespace lockstep
