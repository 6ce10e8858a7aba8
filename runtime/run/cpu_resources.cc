#include "runtime/run/cpu_resources.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

namespace fs = std::filesystem;

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

// "max" and what is not a number mean no limit.
std::optional<double> number(const std::string& text) {
  std::istringstream words(text);
  double value = 0;
  if (!(words >> value)) return std::nullopt;
  return value;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

bool lists(const std::string& names, const std::string& name) {
  const std::vector<std::string> all = split(names, ',');
  return std::ranges::find(all, name) != all.end();
}

// The process's path in the hierarchy of a version-1 controller, or of version 2 (controller "").
std::optional<std::string> group_path(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/cgroup");  // lines "4:cpu,cpuacct:/path", "0::/path"
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? names.empty() : lists(names, controller))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

// Folders of the process's control group and of all groups above it. Each line of mountinfo:
// "id parent device root mount-point options [tags] - type source super-options".
std::vector<std::string> group_folders(const std::string& root, const std::string& controller) {
  const std::optional<std::string> group = group_path(root, controller);
  if (!group) return {};
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> mount = split(line.substr(0, dash), ' ');
    const std::vector<std::string> system = split(line.substr(dash + 3), ' ');
    if (mount.size() < 5 || system.size() < 3) continue;
    const bool fits = controller.empty() ? system[0] == "cgroup2"
                                         : system[0] == "cgroup" && lists(system[2], controller);
    if (!fits) continue;
    // A container may see its own group as the mount's root while the path names the host's.
    const fs::path below = fs::path(*group).lexically_relative(mount[3]);
    const std::string top = root + mount[4];
    std::vector<std::string> folders{top};
    if (below.empty() || *below.begin() == ".." || below == ".") return folders;
    fs::path folder = top;
    for (const fs::path& step : below) folders.push_back((folder /= step).string());
    return folders;
  }
  return {};
}

int affinity_cores(pid_t process) {
  for (int cores = 1024; cores <= 1 << 20; cores *= 2) {
    cpu_set_t* mask = CPU_ALLOC(static_cast<std::size_t>(cores));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cores));
    const int status = sched_getaffinity(process, bytes, mask);
    const int error = errno;
    const int count = status == 0 ? CPU_COUNT_S(bytes, mask) : 0;
    CPU_FREE(mask);
    if (status == 0) return count;
    if (error != EINVAL) return 0;  // EINVAL: the kernel's mask is longer
  }
  return 0;
}

int cores_of(double quota, int local_ranks) {
  return std::max(1, static_cast<int>(std::floor(quota / local_ranks + 1e-9)));
}

std::string cores_text(int cores) {
  return fmt::format("{} core{}", cores, cores == 1 ? "" : "s");
}

}  // namespace

std::optional<double> core_quota(const std::string& root) {
  std::optional<double> least;
  const auto take = [&least](std::optional<double> quota, std::optional<double> period) {
    if (!quota || !period || *quota <= 0 || *period <= 0) return;
    least = std::min(least.value_or(std::numeric_limits<double>::infinity()), *quota / *period);
  };
  for (const std::string& folder : group_folders(root, "")) {
    const auto line = first_line(folder + "/cpu.max");  // "max 100000" or "150000 100000"
    const std::size_t space = line ? line->find(' ') : std::string::npos;
    if (space != std::string::npos) take(number(*line), number(line->substr(space)));
  }
  for (const std::string& folder : group_folders(root, "cpu"))
    take(number(first_line(folder + "/cpu.cfs_quota_us").value_or("")),
         number(first_line(folder + "/cpu.cfs_period_us").value_or("")));
  return least;
}

std::size_t memory_limit_bytes(const std::string& root) {
  double least = std::numeric_limits<double>::infinity();
  const auto take = [&least](std::optional<double> bytes) {
    if (bytes && *bytes > 0) least = std::min(least, *bytes);
  };
  for (const std::string& folder : group_folders(root, ""))
    take(number(first_line(folder + "/memory.max").value_or("")));
  for (const std::string& folder : group_folders(root, "memory"))
    take(number(first_line(folder + "/memory.limit_in_bytes").value_or("")));
  std::ifstream file(root + "/proc/meminfo");  // "MemTotal:  16384 kB"
  for (std::string word; file >> word;) {
    if (word != "MemTotal:") continue;
    double kibibytes = 0;
    if (file >> kibibytes) take(kibibytes * 1024);
    break;
  }
  if (!std::isfinite(least))
    throw Error("cannot tell how much memory there is: {}/proc/meminfo has no MemTotal", root);
  return static_cast<std::size_t>(least);
}

std::string processor_name(const std::string& root) {
  std::ifstream file(root + "/proc/cpuinfo");  // "model name	: ..."; Arm kernels have no such
                                               // line
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

CoreFacts read_core_facts() {
  CoreFacts facts;
  facts.own = std::max(1, affinity_cores(0));
  facts.launcher = std::max(facts.own, affinity_cores(getppid()));
  facts.quota = core_quota();
  return facts;
}

ThreadChoice choose_threads(std::int64_t requested, int local_ranks, int local_rank,
                            const CoreFacts& facts) {
  const bool overlap = facts.own * local_ranks > facts.launcher;
  const int extra = local_rank < facts.launcher % local_ranks ? 1 : 0;
  const int share = overlap ? std::max(1, facts.launcher / local_ranks + extra) : facts.own;
  const int by_affinity = std::min(facts.own, share);
  const int usable =
      facts.quota ? std::min(by_affinity, cores_of(*facts.quota, local_ranks)) : by_affinity;
  const bool bound = facts.own < facts.launcher;

  ThreadChoice choice;
  choice.threads = requested > 0 ? static_cast<int>(requested) : usable;
  if (choice.threads > usable) {
    choice.warning =
        fmt::format("run.threads = {}, but this rank may use {}: its threads take turns", requested,
                    cores_text(usable));
    if (bound)
      choice.warning +=
          "; mpirun ties a rank to a core (with -np 1 too) unless --bind-to none is given";
    if (usable < by_affinity)
      choice.warning += fmt::format("; the control group grants {:.2f} cores to {} rank{}",
                                    *facts.quota, local_ranks, local_ranks == 1 ? "" : "s");
  }
  return choice;
}

ThreadChoice resolve_threads(std::int64_t requested, int local_ranks, int local_rank) {
  return choose_threads(requested, local_ranks, local_rank, read_core_facts());
}

}  // namespace lockstep
