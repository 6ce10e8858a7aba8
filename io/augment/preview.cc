#include "io/augment/preview.h"

#include <cstring>

namespace lockstep {

Preview preview(const RowBlock& stored, const Augmentation& augmentation, std::int64_t epoch,
                std::span<const std::int64_t> ids) {
  const auto rows = static_cast<std::int64_t>(ids.size());
  const auto empty = [&] {
    return host_tensor(augmentation.sample_shape().with_rows(rows), stored.x.dtype());
  };
  const Tensor copy = host_tensor(stored.x.shape(), stored.x.dtype());
  std::memcpy(copy.raw(), stored.x.raw(), copy.bytes());
  PlainRows plain{empty(), stored.y, {}};
  AugmentWorkspace workspace;
  augmentation.transform(copy, ids, epoch, workspace, plain.x);
  if (!augmentation.mixes()) return {plain.x, {}};
  const Augmentation::Place place{epoch, epoch, 0};
  PlainRows mixed{empty(), host_tensor({rows, augmentation.target_columns()}, DType::kFloat32), {}};
  augmentation.mix(plain, ids, place, mixed);
  return {mixed.x, augmentation.pairs(ids, place)};
}

}  // namespace lockstep
