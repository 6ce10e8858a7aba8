#include "io/inspection/duplicates.h"

#include <algorithm>

#include "io/base/checksum.h"
#include "io/dataset/row_source.h"

namespace lockstep {

namespace {

constexpr std::uint64_t kSecondSeed = 0x9E3779B97F4A7C15;
constexpr std::size_t kPairs = 3;  // shown
constexpr std::int64_t kBlockBytes = std::int64_t{8} << 20;

void keep_first_pairs(Duplicates& duplicates) {
  std::sort(duplicates.first.begin(), duplicates.first.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  duplicates.rows = static_cast<std::int64_t>(duplicates.first.size());
  if (duplicates.first.size() > kPairs) duplicates.first.resize(kPairs);
}

}  // namespace

void RowHashes::add(const Tensor& x) {
  if (x.rows() == 0) return;
  const std::size_t bytes = x.bytes() / static_cast<std::size_t>(x.rows());
  for (std::int64_t i = 0; i < x.rows(); ++i) {
    const std::byte* const row = x.raw() + static_cast<std::size_t>(i) * bytes;
    hashes_.push_back({{checksum(row, bytes), checksum(row, bytes, kSecondSeed)},
                       static_cast<std::int64_t>(hashes_.size())});
  }
}

void RowHashes::finish() {
  std::sort(hashes_.begin(), hashes_.end());
}

RowHashes hash_rows(const Dataset& dataset) {
  const RowLayout layout = layout_of(dataset);
  const std::int64_t most = std::clamp<std::int64_t>(
      kBlockBytes / static_cast<std::int64_t>(layout.row_bytes()), 1, layout.rows);
  const RowBlock block(layout, most);
  RowHashes hashes(layout.rows);
  for_each_rows(layout.rows, most, [&](std::span<const std::int64_t> rows) {
    RowBlock values = block.head(static_cast<std::int64_t>(rows.size()));
    dataset.read(rows, values.x, values.y, values.weight);
    hashes.add(values.x);
  });
  hashes.finish();
  return hashes;
}

Duplicates duplicates_between(const RowHashes& first, const RowHashes& second) {
  Duplicates duplicates;
  auto at = first.sorted().begin();
  for (const RowHashes::Entry& entry : second.sorted()) {
    while (at != first.sorted().end() && at->hash < entry.hash) ++at;
    if (at == first.sorted().end()) break;
    if (at->hash == entry.hash) duplicates.first.emplace_back(at->row, entry.row);
  }
  keep_first_pairs(duplicates);
  return duplicates;
}

Duplicates duplicates_within(const RowHashes& part) {
  Duplicates duplicates;
  std::size_t run = 0;  // where the rows of one hash begin
  const std::span<const RowHashes::Entry> sorted = part.sorted();
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].hash == sorted[run].hash)
      duplicates.first.emplace_back(sorted[run].row, sorted[i].row);
    else
      run = i;
  }
  keep_first_pairs(duplicates);
  return duplicates;
}

std::string pairs_text(const Duplicates& duplicates, const std::string& first,
                       const std::string& second) {
  std::string text;
  for (const auto& [a, b] : duplicates.first)
    text += fmt::format("{}{} row {} = {} row {}", text.empty() ? "" : ", ", second, b, first, a);
  if (duplicates.rows > static_cast<std::int64_t>(duplicates.first.size())) text += ", ...";
  return text;
}

}  // namespace lockstep
