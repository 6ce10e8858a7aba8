#include "runtime/run/rank_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "kernels/core/error.h"
#include "runtime/run/version.h"

namespace lockstep {

namespace {

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "an unknown host";
}

std::string system_text() {
  return std::generic_category().message(errno);
}

}  // namespace

std::string RankLog::file_of(const std::string& file, int rank) {
  std::string path = file;
  if (const std::size_t place = path.find("%r"); place != std::string::npos)
    return path.replace(place, 2, std::to_string(rank));
  const std::filesystem::path whole(file);
  return (whole.parent_path() / whole.stem()).string() +
         fmt::format(".rank{}{}", rank, whole.extension().string());
}

RankLog::RankLog(const std::string& file, int rank, int ranks)
    : path_(file_of(file, rank)), rank_(rank) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    throw Error("--log {}: cannot open {} for writing: {}", file, path_, system_text());
  line(fmt::format("lockstep {}, rank {} of {}, process {} on {}", kVersion, rank, ranks,
                   ::getpid(), host_name()));
}

RankLog::~RankLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RankLog& RankLog::operator=(RankLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(rank_, other.rank_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(failed_, other.failed_);
  return *this;
}

void RankLog::line(const std::string& text) {
  constexpr std::string_view kWarning = "warning: ";
  if (text.starts_with(kWarning))
    write("warning", text.substr(kWarning.size()));
  else
    write("info", text);
}

void RankLog::error(const std::string& text) {
  write("error", text);
}

void RankLog::write(const char* level, const std::string& text) {
  if (descriptor_ < 0 || failed_) return;
  const auto now = std::chrono::system_clock::now();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  const std::string stamp =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                  fmt::gmtime(std::chrono::system_clock::to_time_t(now)), milliseconds);
  const std::string out = fmt::format("{} {} rank {} {}\n", stamp, level, rank_, text);
  // One write a line: lines of several processes never mix.
  if (::write(descriptor_, out.data(), out.size()) == static_cast<ssize_t>(out.size())) return;
  failed_ = true;
  fmt::print(stderr, "warning: {}: cannot write ({}); this log ends here\n", path_, system_text());
}

}  // namespace lockstep
