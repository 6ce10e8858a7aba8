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

  // "finished", "interrupted", "failed: ..." after so many steps; the metrics of the last epoch.
  void end(const std::string& outcome, std::int64_t last_step, const Evaluation& training,
           const std::optional<Evaluation>& validation);

 private:
  RunFolder folder_;
  RunRecord record_;
};

}  // namespace lockstep
