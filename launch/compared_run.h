// What `compare` knows of a run: its record, and its metrics at the weights it ended with and at
// those of its best checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

// One evaluation: a line of metrics.jsonl.
struct MeasuredStep {
  std::int64_t step = 0, epoch = 0;
  std::vector<std::pair<std::string, double>> metrics;
  std::optional<double> metric(const std::string& name) const;
};

// The checkpoint that `--best` of evaluate, predict and export takes.
struct BestCheckpoint {
  std::string metric;  // by which it is the best
  double value = 0;
  MeasuredStep at;
};

struct ComparedRun {
  std::string folder, network, outcome, data_checksum;
  std::string split;  // whose metrics these are: "validation", or "train" where there is no other
  std::int64_t parameters = 0, step = 0, epochs = 0;
  double seconds_per_epoch = 0;
  MeasuredStep end;                    // of the weights that the run ended with
  std::optional<BestCheckpoint> best;  // where the run kept one

  bool finished() const { return outcome == "finished"; }
  // What the run can give: its best weights, else those it ended with.
  const MeasuredStep& offer() const { return best ? best->at : end; }
};

// Throws Error where `path` is no run's folder, or its record cannot be read.
ComparedRun read_compared_run(const std::string& path);

}  // namespace lockstep
