// What this process may use of the machine: cores by affinity and by the control group's quota,
// memory by the control group's limit. Control groups of version 1 and 2, from the process's own up
// to the mount's root. `root` is put before /proc and /sys, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace lockstep {

// Cores' worth of time that the control group grants to all its processes together.
std::optional<double> core_quota(const std::string& root = "");
// The least of the control group's limits and the machine's memory.
std::size_t memory_limit_bytes(const std::string& root = "");
// "Intel(R) Xeon(R) Platinum 8488C"; "unknown" where the system does not tell.
std::string processor_name(const std::string& root = "");

struct CoreFacts {
  int own = 1;                  // cores in this process's affinity mask
  int launcher = 1;             // in that of the process that started it: mpirun is bound to none
  std::optional<double> quota;  // shared by the ranks of the node
};
CoreFacts read_core_facts();

struct ThreadChoice {
  int threads = 1;
  std::string warning;  // empty, or what the user should know
};

// requested 0: as many as this rank's share of the cores. Where the masks of the node's ranks hold
// more cores together than the launcher has, they overlap, and each rank takes its part.
ThreadChoice choose_threads(std::int64_t requested, int local_ranks, int local_rank,
                            const CoreFacts& facts);
ThreadChoice resolve_threads(std::int64_t requested, int local_ranks, int local_rank);

}  // namespace lockstep
