#include "kernels/core/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace lockstep {

void ProfileScope::open(std::string_view name) {
  std::string& path = profile_->path_;
  outer_length_ = path.size();
  if (!path.empty()) path += '.';
  path += name;
  start_ = std::chrono::steady_clock::now();
}

void ProfileScope::close() {
  const auto elapsed = std::chrono::steady_clock::now() - start_;
  std::string& path = profile_->path_;
  Profile::Entry& entry = profile_->entries_[path];
  ++entry.count;
  entry.total += std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed);
  path.resize(outer_length_);
}

std::string profile_table(std::span<const Profile* const> profiles) {
  std::map<std::string, Profile::Entry> sum;
  for (const Profile* profile : profiles)
    for (const auto& [name, entry] : profile->entries()) {
      sum[name].count += entry.count;
      sum[name].total += entry.total;
    }

  double outermost = 0;
  std::size_t width = 4;
  for (const auto& [name, entry] : sum) {
    const std::size_t dot = name.rfind('.');
    const bool nested = dot != std::string::npos && sum.contains(name.substr(0, dot));
    if (!nested) outermost += static_cast<double>(entry.total.count());
    width = std::max(width, name.size());
  }

  std::vector<std::pair<std::string, Profile::Entry>> rows(sum.begin(), sum.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second.total > b.second.total; });
  std::string text = fmt::format("{:<{}}  {:>9}  {:>11}  {:>10}  {:>6}\n", "name", width, "count",
                                 "total ms", "mean us", "share");
  for (const auto& [name, entry] : rows) {
    const auto total = static_cast<double>(entry.total.count());
    fmt::format_to(std::back_inserter(text), "{:<{}}  {:>9}  {:>11.3f}  {:>10.2f}  {:>5.1f}%\n",
                   name, width, entry.count, total * 1e-6,
                   total * 1e-3 / static_cast<double>(entry.count),
                   outermost > 0 ? 100 * total / outermost : 0.0);
  }
  return text;
}

}  // namespace lockstep
