// The folder of a run and its record:
//   config.toml               resolved
//   data.json                 what a sample of the training data is; see io/dataset/description.h
//   run.json                  where, when and with what it ran; final metrics
//   metrics.jsonl             what the bits decide; timing.jsonl: what the clock says
//   plans.txt                 of a GPU's libraries, for reading; see library_plans.h
//   checkpoints/step-N.ckpt   see checkpointing.h
//   weights.safetensors       at the end
// Rank 0 alone makes and writes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/config/config.h"

namespace lockstep {

// One start of the run; a resumed run has several.
struct RunPart {
  std::string version, build, mpi;
  std::string processor, isa, placement;  // "2 ranks on 1 node, one shared segment"
  std::string gpu{}, plans{};             // see library_plans.h; "" on a CPU
  std::vector<int> threads;               // by rank: as many as there are ranks
  std::string start, end;                 // UTC, ISO 8601; no end while it runs
  std::int64_t first_step = 0, last_step = 0;
  std::string outcome = "running";  // or "finished", "interrupted", "failed: ..."
};

// The best value of a metric of the validation part, and the step of its checkpoint.
struct BestRecord {
  std::string metric;
  double value = 0;
  std::int64_t step = 0;
};

struct RunRecord {
  std::string name;
  std::uint64_t seed = 0;
  std::int64_t shards = 0;
  std::int64_t parameters = 0;  // of the network; 0: a run of a version that did not say
  std::string data_checksum;
  std::vector<RunPart> parts;
  std::optional<BestRecord> best;
  std::vector<std::pair<std::string, double>> final_metrics;
};

class RunFolder {
 public:
  // A new folder: `out`, or runs/<name>-<date>-<time> where that is empty. Throws Error when `out`
  // exists and is not empty, or cannot be written.
  static RunFolder create(const std::string& out, const std::string& name);
  // The folder of an earlier run. Throws Error where there is none.
  static RunFolder open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string config_file() const { return path_ + "/config.toml"; }
  std::string record_file() const { return path_ + "/run.json"; }
  std::string data_file() const { return path_ + "/data.json"; }
  std::string metrics_file() const { return path_ + "/metrics.jsonl"; }
  std::string timing_file() const { return path_ + "/timing.jsonl"; }
  std::string plans_file() const { return path_ + "/plans.txt"; }
  std::string checkpoints() const { return path_ + "/checkpoints"; }
  std::string weights_file() const { return path_ + "/weights.safetensors"; }

  void write_config(const Config& config) const;
  void write_record(const RunRecord& record) const;  // replaced in one go
  RunRecord read_record() const;

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

std::string utc_now();  // "2025-03-01T14:05:09Z"

}  // namespace lockstep
