// metrics.jsonl: one JSON object a line, each with the step it belongs to. Lines hold what the bits
// of the run decide, so the file is equal for any number of ranks; times go to timing.jsonl, a log
// of the same form.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lockstep {

class MetricsLog {
 public:
  explicit MetricsLog(std::string path);  // appends; creates the file where there is none
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  // Keys in the given order, "step" among them; doubles in digits that read back to the same bits.
  // The line is in the file when this returns.
  void append(const nlohmann::ordered_json& line);

  // Drops the lines of steps after `step`, and a last line that a killed process left unfinished.
  // The file changes at once or not at all. A file that does not exist stays so.
  static void cut_back(const std::string& path, std::int64_t step);

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace lockstep
