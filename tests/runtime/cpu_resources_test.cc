// Limits read from made-up /proc and /sys trees, and the rule that turns cores into threads.
#include "runtime/run/cpu_resources.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class FakeSystem {
 public:
  FakeSystem()
      : root_(fs::temp_directory_path() / ("lockstep-system-" + std::to_string(getpid()))) {
    write("/proc/meminfo", "MemTotal:       16384 kB\nMemFree:  1 kB\n");
  }
  ~FakeSystem() { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    const fs::path full = root_.string() + path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  std::string root() const { return root_.string(); }

 private:
  fs::path root_;
};

constexpr std::size_t kMachine = 16384 * std::size_t{1024};

void mount_version_2(const FakeSystem& system, const std::string& group) {
  system.write("/proc/self/cgroup", "0::" + group + "\n");
  system.write("/proc/self/mountinfo",
               "22 21 0:20 / /proc rw - proc proc rw\n"
               "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
}

TEST(CpuResources, NoControlGroups) {
  const FakeSystem system;
  EXPECT_FALSE(core_quota(system.root()).has_value());
  EXPECT_EQ(memory_limit_bytes(system.root()), kMachine);
}

TEST(CpuResources, VersionTwoTakesTheLeastOnTheWayUp) {
  const FakeSystem system;
  mount_version_2(system, "/user/job");
  system.write("/sys/fs/cgroup/user/job/cpu.max", "400000 100000\n");
  system.write("/sys/fs/cgroup/user/cpu.max", "150000 100000\n");
  system.write("/sys/fs/cgroup/user/job/memory.max", "max\n");
  system.write("/sys/fs/cgroup/user/memory.max", "1048576\n");
  EXPECT_EQ(core_quota(system.root()), 1.5);
  EXPECT_EQ(memory_limit_bytes(system.root()), 1048576u);
}

TEST(CpuResources, VersionTwoWithoutLimits) {
  const FakeSystem system;
  mount_version_2(system, "/");
  system.write("/sys/fs/cgroup/cpu.max", "max 100000\n");
  system.write("/sys/fs/cgroup/memory.max", "max\n");
  EXPECT_FALSE(core_quota(system.root()).has_value());
  EXPECT_EQ(memory_limit_bytes(system.root()), kMachine);
}

TEST(CpuResources, VersionOne) {
  const FakeSystem system;
  system.write("/proc/self/cgroup", "4:memory:/a\n2:cpu,cpuacct:/a/b\n0::/\n");
  system.write("/proc/self/mountinfo",
               "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
               "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  system.write("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
  system.write("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
  system.write("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "250000\n");
  system.write("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  system.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  system.write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2097152\n");
  EXPECT_EQ(core_quota(system.root()), 2.5);
  EXPECT_EQ(memory_limit_bytes(system.root()), 2097152u);
}

TEST(CpuResources, ContainerSeesItsOwnGroupAsTheMountsRoot) {
  const FakeSystem system;
  system.write("/proc/self/cgroup", "4:memory:/docker/abc\n");
  system.write("/proc/self/mountinfo",
               "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  system.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "3145728\n");
  EXPECT_EQ(memory_limit_bytes(system.root()), 3145728u);
}

TEST(CpuResources, ProcessorName) {
  const FakeSystem system;
  EXPECT_EQ(processor_name(system.root()), "unknown");
  system.write("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast One @ 2 GHz\n");
  EXPECT_EQ(processor_name(system.root()), "Fast One @ 2 GHz");
}

TEST(CpuResources, ThisMachine) {
  const CoreFacts facts = read_core_facts();
  EXPECT_GE(facts.own, 1);
  EXPECT_GE(facts.launcher, facts.own);
  EXPECT_GT(memory_limit_bytes(), std::size_t{1} << 24);
  EXPECT_GE(resolve_threads(0, 1, 0).threads, 1);
}

TEST(Threads, AutoUsesTheMask) {
  EXPECT_EQ(choose_threads(0, 1, 0, {.own = 8, .launcher = 8, .quota = {}}).threads, 8);
  EXPECT_EQ(choose_threads(0, 2, 1, {.own = 4, .launcher = 8, .quota = {}}).threads, 4);
  EXPECT_EQ(choose_threads(0, 1, 0, {.own = 1, .launcher = 8, .quota = {}}).threads, 1);
}

TEST(Threads, RanksThatShareAMaskDivideIt) {
  int threads = 0;
  for (int rank = 0; rank < 3; ++rank)
    threads += choose_threads(0, 3, rank, {.own = 8, .launcher = 8, .quota = {}}).threads;
  EXPECT_EQ(threads, 8);
  const ThreadChoice oversubscribed =
      choose_threads(0, 4, 3, {.own = 2, .launcher = 2, .quota = {}});
  EXPECT_EQ(oversubscribed.threads, 1);
  EXPECT_EQ(oversubscribed.warning, "");
}

TEST(Threads, QuotaIsSharedByTheNodesRanks) {
  EXPECT_EQ(choose_threads(0, 1, 0, {.own = 8, .launcher = 8, .quota = 2.5}).threads, 2);
  EXPECT_EQ(choose_threads(0, 2, 0, {.own = 8, .launcher = 8, .quota = 6.0}).threads, 3);
  EXPECT_EQ(choose_threads(0, 1, 0, {.own = 8, .launcher = 8, .quota = 0.5}).threads, 1);
}

TEST(Threads, MoreThanCoresWarnsAndNamesTheFlag) {
  const ThreadChoice bound = choose_threads(4, 1, 0, {.own = 1, .launcher = 8, .quota = {}});
  EXPECT_EQ(bound.threads, 4);
  EXPECT_NE(bound.warning.find("--bind-to none"), std::string::npos) << bound.warning;
  EXPECT_NE(bound.warning.find("may use 1 core:"), std::string::npos) << bound.warning;

  const ThreadChoice quota = choose_threads(4, 1, 0, {.own = 8, .launcher = 8, .quota = 1.5});
  EXPECT_NE(quota.warning.find("grants 1.50 cores"), std::string::npos) << quota.warning;
  EXPECT_EQ(quota.warning.find("--bind-to"), std::string::npos) << quota.warning;

  EXPECT_EQ(choose_threads(4, 1, 0, {.own = 4, .launcher = 8, .quota = {}}).warning, "");
}

}  // namespace
}  // namespace lockstep
