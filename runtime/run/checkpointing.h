// Checkpoints of a training run: what is in them, when old ones go, and how a run comes back. A
// checkpoint holds the mathematical part of the config, V, the data's checksum, the arithmetic
// probe, declared state, and weights and optimizer states in PyTorch's names and orders; no time,
// host, path, rank or thread. The same run gives the same bytes on any number of ranks.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "io/formats/checkpoint.h"
#include "kernels/gpu/library_plan.h"
#include "runtime/config/config.h"
#include "runtime/step/params.h"
#include "runtime/step/scalars.h"
#include "runtime/step/trainer.h"

namespace lockstep {

// What training itself remembers beside weights and moments.
struct DeclaredState {
  ShardScalars epoch_sums;            // of the epoch's steps so far
  std::optional<double> best_metric;  // of early stopping's metric
  std::int64_t best_step = 0;
  std::int64_t evaluations_without_gain = 0;
  std::vector<std::int64_t> phase_starts{};  // steps, of the phases so far; empty: no phases
};

// The facts that a resumed run must share with the checkpoint.
struct RunIdentity {
  std::string config;  // mathematical keys, with V resolved
  std::string data_checksum;
  std::string probe;
  std::string gpu{};                 // kind of GPU and versions of its libraries; "" on a CPU
  std::vector<LibraryPlan> plans{};  // of these libraries
};

struct TrainingState {
  std::int64_t step = 0;
  RunIdentity identity;
  DeclaredState declared;
};

std::string state_to_json(const TrainingState& state);
TrainingState state_from_json(const std::string& text, const std::string& path);

// The tensors that a checkpoint of this snapshot holds: "weights/fc.bias", "m/fc.bias". Optimizer
// states are there of what trains.
std::vector<NamedTensor> checkpoint_tensors(const Snapshot& snapshot, const ParamSet& params,
                                            const std::vector<std::string>& state_names,
                                            Backend& backend);
// The same for a network in which other parameters train: states of those that begin to are zero,
// their averages are the weights.
std::vector<NamedTensor> for_next_phase(std::vector<NamedTensor> tensors, const ParamSet& params,
                                        const std::vector<std::string>& state_names);

// Fills flat buffers from a checkpoint's tensors. Throws Error when the network is another: names
// the parameters that are missing or extra, or both shapes.
void load_tensors(const Checkpoint& checkpoint, const std::string& path, const ParamSet& params,
                  const std::vector<std::string>& state_names, Backend& backend, float* values,
                  const std::vector<float*>& states);

// What training is for, under the parameters' own names: of a checkpoint's tensors the averaged
// weights; the weights themselves of what is frozen, and where no average was kept.
std::vector<NamedTensor> trained_weights(const std::vector<NamedTensor>& tensors);
// Those into a flat buffer; the checkpoint's optimizer states are passed over.
void load_weights(const Checkpoint& checkpoint, const std::string& path, const ParamSet& params,
                  Backend& backend, float* values);

// Writes in the background, one at a time, on rank 0 alone. An error of a background write is
// thrown by the next call.
class CheckpointWriter {
 public:
  CheckpointWriter(std::string folder, std::int64_t keep, const ParamSet& params,
                   std::vector<std::string> state_names, Backend& backend);
  ~CheckpointWriter();

  void write(Snapshot snapshot, const TrainingState& state);
  void check();  // throws what a finished write threw
  void wait();   // until the last write is on the disk

 private:
  void write_now(const Snapshot& snapshot, const TrainingState& state);
  void remove_old(std::int64_t newest, std::int64_t best) const;

  std::string folder_;
  std::int64_t keep_;
  const ParamSet& params_;
  std::vector<std::string> state_names_;
  Backend& backend_;
  std::future<void> pending_;
};

struct FoundCheckpoint {
  std::string path;
  Checkpoint contents;
  std::vector<std::string> refused;  // why newer ones were passed over, one line each
};
// The newest undamaged checkpoint of a folder; nothing where the folder holds none at all. Throws
// Error when every one of them is damaged.
std::optional<FoundCheckpoint> latest_checkpoint(const std::string& folder);

}  // namespace lockstep
