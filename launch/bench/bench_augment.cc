#include "launch/bench/bench_augment.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "io/dataset/row_source.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostRows = 1000;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 26;

}  // namespace

double microseconds_to_augment(const Dataset& dataset, const Augmentation& augmentation,
                               int rounds) {
  const auto row_bytes = static_cast<std::int64_t>(dataset.row_bytes());
  const std::int64_t rows =
      std::min({dataset.rows(), kMostRows, std::max<std::int64_t>(kMostBytes / row_bytes, 2)});
  std::vector<std::int64_t> ids(static_cast<std::size_t>(rows));
  std::iota(ids.begin(), ids.end(), 0);
  RowBlock stored(layout_of(dataset), rows);
  dataset.read(ids, stored.x, stored.y, stored.weight);
  const Tensor copy = host_tensor(stored.x.shape(), stored.x.dtype());
  const auto empty = [&] {
    return host_tensor(augmentation.sample_shape().with_rows(rows), copy.dtype());
  };
  PlainRows plain{empty(), stored.y, stored.weight};
  PlainRows mixed{augmentation.mixes() ? empty() : Tensor(), {}, {}};
  if (augmentation.target() == TargetKind::kValues)
    mixed.y = host_tensor({rows, augmentation.target_columns()}, DType::kFloat32);
  if (dataset.has_weight()) mixed.weight = host_tensor({rows}, DType::kFloat32);
  AugmentWorkspace workspace;
  std::vector<double> times;
  for (int round = -1; round < rounds; ++round) {  // the first warms up
    std::memcpy(copy.raw(), stored.x.raw(), copy.bytes());
    const auto start = std::chrono::steady_clock::now();
    augmentation.transform(copy, ids, round + 1, workspace, plain.x);
    if (augmentation.mixes()) augmentation.mix(plain, ids, {round + 1, round + 1, 0}, mixed);
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    if (round >= 0) times.push_back(time.count() / static_cast<double>(rows));
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace lockstep
