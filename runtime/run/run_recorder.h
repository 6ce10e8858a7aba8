// RunRecorder: keeps run.json up to date: what the run is, and each start of it. On rank 0.
#pragma once

#include <optional>
#include <string>

#include "runtime/run/evaluation.h"
#include "runtime/run/run_folder.h"
#include "runtime/run/session.h"

namespace lockstep {

class RunRecorder {
 public:
  // Reads what earlier starts left, and writes that another has begun at `first_step`.
  RunRecorder(const RunFolder& folder, Session& session, const std::string& data_checksum,
              std::int64_t first_step);

  void plans(const std::string& digest);  // of a GPU's libraries

  struct End {
    std::string outcome;  // "finished", "interrupted", "failed: ..."
    std::int64_t last_step = 0;
    const Evaluation& training;  // of the last epoch
    const std::optional<Evaluation>& validation;
    std::string best_metric;  // of the validation part, where it was best
    std::optional<double> best_value;
    std::int64_t best_step = 0;
  };
  void end(const End& end);

 private:
  RunFolder folder_;
  RunRecord record_;
};

}  // namespace lockstep
