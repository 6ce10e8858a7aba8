#include "runtime/run/gpu_assignment.h"

#include <algorithm>
#include <map>
#include <set>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

// Kuhn's algorithm for a matching of ranks to GPUs, a rank after another.
class Matching {
 public:
  explicit Matching(std::span<const RankView> ranks) : ranks_(ranks), device_(ranks.size(), -1) {}

  // A GPU for `rank`: the first free one that it sees, else one that another rank can leave.
  bool place(int rank) {
    const std::vector<std::string>& uuids = view(rank).uuids;
    for (std::size_t i = 0; i < uuids.size(); ++i)
      if (!owner_.contains(uuids[i])) return take(rank, i);
    std::set<std::string> tried;
    return displace(rank, tried);
  }

  int device(int rank) const { return device_[static_cast<std::size_t>(rank)]; }

 private:
  const RankView& view(int rank) const { return ranks_[static_cast<std::size_t>(rank)]; }

  bool take(int rank, std::size_t place) {
    device_[static_cast<std::size_t>(rank)] = static_cast<int>(place);
    owner_[view(rank).uuids[place]] = rank;
    return true;
  }

  bool displace(int rank, std::set<std::string>& tried) {
    const std::vector<std::string>& uuids = view(rank).uuids;
    for (std::size_t i = 0; i < uuids.size(); ++i) {
      if (!tried.insert(uuids[i]).second) continue;
      const auto owner = owner_.find(uuids[i]);
      if (owner == owner_.end() || displace(owner->second, tried)) return take(rank, i);
    }
    return false;
  }

  std::span<const RankView> ranks_;
  std::vector<int> device_;
  std::map<std::string, int> owner_;  // of each GPU that has one
};

std::string too_many_ranks(std::span<const RankView> ranks, const std::string& host) {
  std::set<std::string> uuids;
  int count = 0;
  for (const RankView& view : ranks) {
    if (view.host != host) continue;
    ++count;
    uuids.insert(view.uuids.begin(), view.uuids.end());
  }
  return fmt::format(
      "on {} {} ranks see {} GPU{}; start at most one rank a GPU, or let ranks share one with "
      "run.share_gpu = true",
      host, count, uuids.size(), uuids.size() == 1 ? "" : "s");
}

}  // namespace

GpuAssignment assign_gpus(std::span<const RankView> ranks, bool share) {
  GpuAssignment result;
  Matching matching(ranks);
  std::vector<int> left_over;
  for (int rank = 0; rank < static_cast<int>(ranks.size()); ++rank) {
    const RankView& view = ranks[static_cast<std::size_t>(rank)];
    if (view.uuids.empty()) {
      result.why_not = fmt::format("rank {} on {} sees no GPU", rank, view.host);
      return result;
    }
    if (matching.place(rank)) continue;
    if (!share) {
      result.why_not = too_many_ranks(ranks, view.host);
      return result;
    }
    left_over.push_back(rank);
  }

  std::map<std::string, int> load;
  for (int rank = 0; rank < static_cast<int>(ranks.size()); ++rank) {
    result.device.push_back(matching.device(rank));
    if (result.device.back() >= 0)
      ++load[ranks[static_cast<std::size_t>(rank)]
                 .uuids[static_cast<std::size_t>(result.device.back())]];
  }
  for (const int rank : left_over) {
    const std::vector<std::string>& uuids = ranks[static_cast<std::size_t>(rank)].uuids;
    const auto least = std::ranges::min_element(uuids, {}, [&](const auto& u) { return load[u]; });
    ++load[*least];
    result.device[static_cast<std::size_t>(rank)] = static_cast<int>(least - uuids.begin());
    result.shared = true;
  }
  return result;
}

}  // namespace lockstep
