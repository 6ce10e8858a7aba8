// What training would see of some samples in one epoch, without a training run: for pictures of
// them.
#pragma once

#include <span>
#include <vector>

#include "io/augment/augmentation.h"
#include "io/dataset/row_source.h"

namespace lockstep {

// Partners of mixed samples are among the given ones: a run's own are those of its shards.
struct Preview {
  Tensor x;
  std::vector<Augmentation::Pair> pairs{};  // empty where nothing is mixed
};

// `stored`: the samples `ids` as the dataset has them. `epoch` counts from 0.
Preview preview(const RowBlock& stored, const Augmentation& augmentation, std::int64_t epoch,
                std::span<const std::int64_t> ids);

}  // namespace lockstep
