// Which GPU each rank takes: a pure function of what the ranks see. A GPU is known by its UUID,
// which is the same whatever number a process sees it under: CUDA_VISIBLE_DEVICES and control groups
// (Slurm's --gpus-per-task) hide GPUs and number the rest from 0.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace lockstep {

struct RankView {
  std::string host;
  std::vector<std::string> uuids;  // that the rank sees, in CUDA's order
};

struct GpuAssignment {
  std::vector<int> device;  // by rank: a place in its uuids; empty where there is no assignment
  bool shared = false;      // a GPU has more than one rank
  std::string why_not;
};

// A GPU of its own for every rank wherever that is possible; of equal views on a node, rank by rank
// in CUDA's order. Otherwise, if ranks may `share`, those left over go to the GPU with the fewest
// ranks. Ranks are in the communicator's order, those of a node after one another.
GpuAssignment assign_gpus(std::span<const RankView> ranks, bool share);

}  // namespace lockstep
