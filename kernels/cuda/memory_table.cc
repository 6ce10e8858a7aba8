#include "kernels/cuda/memory_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace lockstep::gpu {

namespace {

constexpr std::size_t kRows = 8;

std::string mebibytes(std::size_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

void MemoryTable::add(const void* memory, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  pieces_[memory] = bytes;
  held_ += bytes;
}

void MemoryTable::remove(const void* memory) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = pieces_.find(memory);
  if (found == pieces_.end()) return;
  held_ -= found->second;
  pieces_.erase(found);
}

std::size_t MemoryTable::held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

std::string MemoryTable::out_of_memory(std::size_t asked, std::size_t free,
                                       std::size_t total) const {
  const std::lock_guard lock(mutex_);
  std::map<std::size_t, std::size_t> counts;
  for (const auto& [memory, bytes] : pieces_) ++counts[bytes];
  std::vector<std::pair<std::size_t, std::size_t>> rows(counts.begin(), counts.end());
  std::ranges::stable_sort(rows, std::ranges::greater{},
                           [](const auto& row) { return row.first * row.second; });

  std::string text = fmt::format(
      "the GPU's memory does not hold {} more: {} of {} are free, and this process has {} in {} "
      "pieces:",
      mebibytes(asked), mebibytes(free), mebibytes(total), mebibytes(held_), pieces_.size());
  for (std::size_t i = 0; i < std::min(rows.size(), kRows); ++i)
    text += fmt::format("\n  {:>5} x {:>14} = {:>14}", rows[i].second, mebibytes(rows[i].first),
                        mebibytes(rows[i].first * rows[i].second));
  if (rows.size() > kRows) text += fmt::format("\n  and {} smaller sizes", rows.size() - kRows);
  return text +
         "\nTry a smaller training.batch; or more run.shards, which run one after another; or more "
         "ranks, each with a GPU of its own";
}

}  // namespace lockstep::gpu
