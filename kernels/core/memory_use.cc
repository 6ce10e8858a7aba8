#include "kernels/core/memory_use.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace lockstep {

namespace {

const std::string kOther = "other";
thread_local const std::string* current_use = &kOther;

}  // namespace

MemoryUse::MemoryUse(std::string name)
    : name_(std::move(name)), outer_(std::exchange(current_use, &name_)) {}

MemoryUse::~MemoryUse() {
  current_use = outer_;
}

const std::string& MemoryUse::current() {
  return *current_use;
}

std::string bytes_text(std::size_t bytes) {
  constexpr double kUnit = 1024;
  const auto count = static_cast<double>(bytes);
  if (count < kUnit) return fmt::format("{} B", bytes);
  if (count < kUnit * kUnit) return fmt::format("{:.1f} KiB", count / kUnit);
  if (count < kUnit * kUnit * kUnit) return fmt::format("{:.1f} MiB", count / kUnit / kUnit);
  return fmt::format("{:.1f} GiB", count / kUnit / kUnit / kUnit);
}

std::string memory_table(std::vector<MemoryRow> rows) {
  std::ranges::stable_sort(rows, std::ranges::greater{}, &MemoryRow::bytes);
  const std::string all = "in all";
  std::size_t width = all.size(), bytes = 0;
  for (const MemoryRow& row : rows) width = std::max(width, row.use.size());
  std::string text;
  for (const MemoryRow& row : rows) {
    text += fmt::format("\n  {:<{}}  {:>10}  in {} piece{}", row.use, width, bytes_text(row.bytes),
                        row.pieces, row.pieces == 1 ? "" : "s");
    bytes += row.bytes;
  }
  return text + fmt::format("\n  {:<{}}  {:>10}", all, width, bytes_text(bytes));
}

}  // namespace lockstep
