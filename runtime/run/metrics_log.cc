#include "runtime/run/metrics_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "io/base/system_reason.h"
#include "kernels/core/error.h"

namespace lockstep {

namespace {

std::int64_t step_of(const std::string& line, const std::string& path, std::size_t number) {
  const nlohmann::json parsed = nlohmann::json::parse(line, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("step") || !parsed["step"].is_number_integer())
    throw Error("{}:{}: not a line of metrics; move the file away to go on without its lines", path,
                number);
  return parsed["step"].get<std::int64_t>();
}

}  // namespace

MetricsLog::MetricsLog(std::string path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw Error("{}: cannot open for writing: {}", path_, system_reason(errno));
}

MetricsLog::~MetricsLog() {
  ::close(descriptor_);
}

void MetricsLog::append(const nlohmann::ordered_json& line) {
  LOCKSTEP_CHECK(line.contains("step"), "a line of metrics without its step: {}", line.dump());
  const std::string text = line.dump() + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Error("{}: cannot write: {}", path_, system_reason(errno));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void MetricsLog::cut_back(const std::string& path, std::int64_t step) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = read_text(path);
  std::string kept;
  std::size_t number = 1;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;  // a killed process left it
    const std::string line = text.substr(begin, end - begin);
    if (step_of(line, path, number) <= step) kept += line + "\n";
    begin = end + 1;
  }
  if (kept != text) write_text(path, kept);
}

}  // namespace lockstep
