// Every row draws a number keyed by (seed, row); within a class, the lowest go to the test part and
// the next to the validation part.
#include "io/prepare/split.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/philox.h"

namespace lockstep {
namespace {

// Shares `total` over strata in proportion to their sizes: rounded down, the rest to the largest
// remainders (Hamilton's method), ties to the earlier stratum.
std::vector<std::int64_t> apportion(std::int64_t total, const std::vector<std::int64_t>& sizes) {
  const std::int64_t all = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  std::vector<std::int64_t> shares(sizes.size()), remainders(sizes.size());
  std::int64_t left = total;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    shares[i] = total * sizes[i] / all;
    remainders[i] = total * sizes[i] % all;
    left -= shares[i];
  }
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  for (std::size_t i = 0; left > 0; ++i, --left) ++shares[order[i]];
  return shares;
}

// A class that would be left without a row to train on takes one of its own back, from validation
// before test, and the class that trains on the most gives that part one instead (ties: the earlier
// class), as long as there is one that keeps a row. The parts keep their sizes.
void keep_classes_in_training(const std::vector<std::vector<std::int64_t>>& members,
                              std::vector<std::int64_t>& validation,
                              std::vector<std::int64_t>& test) {
  std::vector<std::size_t> bare;
  std::set<std::pair<std::int64_t, std::size_t>> givers;  // (-rows to train on, class)
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::int64_t left =
        static_cast<std::int64_t>(members[i].size()) - validation[i] - test[i];
    if (left > 1) givers.emplace(-left, i);
    if (left == 0 && !members[i].empty()) bare.push_back(i);
  }
  for (const std::size_t i : bare) {
    if (givers.empty()) return;
    const auto [rows, giver] = *givers.begin();
    givers.erase(givers.begin());
    if (rows + 1 < -1) givers.emplace(rows + 1, giver);
    auto& part = validation[i] > 0 ? validation : test;
    --part[i];
    ++part[giver];
  }
}

// What the key of a row decides.
enum class KeyUse : std::uint32_t { kPart = 0, kOrder = 1 };

std::uint64_t row_key(std::uint64_t seed, KeyUse use, std::int64_t row) {
  const RandomKey key{.seed = seed,
                      .purpose = RandomPurpose::kDatasetSplit,
                      .layer = static_cast<std::uint32_t>(use)};
  const PhiloxBlock words = key.block(static_cast<std::uint64_t>(row), 0);
  return std::uint64_t{words[0]} << 32 | words[1];
}

}  // namespace

Portion Portion::parse(const std::string& text, const std::string& name) {
  const char* end = text.data() + text.size();
  std::int64_t count = 0;
  if (const auto [stop, error] = std::from_chars(text.data(), end, count);
      error == std::errc() && stop == end && count >= 0)
    return of_count(count);
  double fraction = 0;
  if (const auto [stop, error] = std::from_chars(text.data(), end, fraction);
      error == std::errc() && stop == end && fraction >= 0 && fraction < 1)
    return of_fraction(fraction);
  throw Error("{} = {}: neither a count of rows (as 500) nor a fraction below 1 (as 0.2)", name,
              text);
}

std::int64_t Portion::of(std::int64_t rows) const {
  return fraction > 0 ? std::llround(fraction * static_cast<double>(rows)) : count;
}

Split split_rows(std::int64_t rows, std::span<const std::int64_t> labels, Portion validation,
                 Portion test, std::uint64_t seed) {
  const std::int64_t test_rows = test.of(rows), validation_rows = validation.of(rows);
  if (test_rows + validation_rows >= rows)
    throw Error("{} rows for validation and {} for test leave none of {} to train on",
                validation_rows, test_rows, rows);
  const std::int64_t strata =
      labels.empty() ? 1 : *std::max_element(labels.begin(), labels.end()) + 1;
  std::vector<std::vector<std::int64_t>> members(static_cast<std::size_t>(strata));
  for (std::int64_t row = 0; row < rows; ++row)
    members[labels.empty() ? 0 : static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])]
        .push_back(row);

  std::vector<std::int64_t> sizes;
  for (const auto& rows_of_class : members)
    sizes.push_back(static_cast<std::int64_t>(rows_of_class.size()));
  std::vector<std::int64_t> test_share = apportion(test_rows, sizes);
  for (std::size_t i = 0; i < sizes.size(); ++i) sizes[i] -= test_share[i];
  std::vector<std::int64_t> validation_share = apportion(validation_rows, sizes);
  if (!labels.empty()) keep_classes_in_training(members, validation_share, test_share);

  Split split;
  for (std::size_t stratum = 0; stratum < members.size(); ++stratum) {
    std::vector<std::pair<std::uint64_t, std::int64_t>> drawn;
    for (const std::int64_t row : members[stratum])
      drawn.emplace_back(row_key(seed, KeyUse::kPart, row), row);
    std::sort(drawn.begin(), drawn.end());
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i);
      auto& part = place < test_share[stratum]                               ? split.test
                   : place < test_share[stratum] + validation_share[stratum] ? split.validation
                                                                             : split.train;
      part.push_back(drawn[i].second);
    }
  }
  for (auto* part : {&split.train, &split.validation, &split.test})
    std::sort(part->begin(), part->end());
  return split;
}

std::vector<std::int64_t> ascending_rows(std::int64_t rows) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(rows));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return all;
}

std::vector<std::int64_t> shuffled_rows(std::int64_t rows, std::uint64_t seed) {
  std::vector<std::pair<std::uint64_t, std::int64_t>> drawn;
  drawn.reserve(static_cast<std::size_t>(rows));
  for (std::int64_t row = 0; row < rows; ++row)
    drawn.emplace_back(row_key(seed, KeyUse::kOrder, row), row);
  std::sort(drawn.begin(), drawn.end());
  std::vector<std::int64_t> order;
  order.reserve(drawn.size());
  for (const auto& [key, row] : drawn) order.push_back(row);
  return order;
}

}  // namespace lockstep
