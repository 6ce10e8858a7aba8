// A log file of one rank, as --log asks for it: lines with time stamps for whoever looks after a
// job. Results do not depend on it. Plain appending, so that a later start goes on in the file.
#pragma once

#include <string>

namespace lockstep {

class RankLog {
 public:
  // FILE with the rank in place of %r, or before its extension: train.log is train.rank3.log.
  static std::string file_of(const std::string& file, int rank);

  RankLog() = default;  // writes nothing
  // Throws Error where the file cannot be opened.
  RankLog(const std::string& file, int rank, int ranks);
  ~RankLog();
  RankLog(const RankLog&) = delete;
  RankLog& operator=(RankLog&& other) noexcept;

  // "2025-03-01T14:05:09.123Z info rank 3 TEXT"; lines that begin with "warning: " are warnings.
  // A disk that is full loses lines, not the run: the first failure is told on standard error.
  void line(const std::string& text);
  void error(const std::string& text);

 private:
  void write(const char* level, const std::string& text);

  std::string path_;
  int rank_ = 0, descriptor_ = -1;
  bool failed_ = false;
};

}  // namespace lockstep
