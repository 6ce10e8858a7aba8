#include "io/loading/shard_buffer.h"

#include <algorithm>
#include <numeric>

namespace lockstep {

ShardPlace place_of(const BatchPlan& plan, std::int64_t step, std::int64_t shard) {
  const std::int64_t steps = plan.steps_per_epoch();
  const BatchPlan::Range range = plan.shard_rows(step % steps, shard);
  return {step / steps, step, shard, step % steps * plan.batch + range.begin,
          range.end - range.begin};
}

ShardWorkspace::ShardWorkspace(const Dataset& dataset, const Augmentation* augmentation,
                               std::int64_t most_rows) {
  rows_.reserve(static_cast<std::size_t>(most_rows));
  if (augmentation == nullptr) return;
  stored_.emplace(layout_of(dataset), most_rows);
  if (augmentation->transforms() && augmentation->mixes())
    plain_ = host_tensor(augmentation->sample_shape().with_rows(most_rows), dataset.x_type());
}

ShardBuffer::ShardBuffer(const Dataset& dataset, const Augmentation* augmentation,
                         std::int64_t most_rows)
    : augmentation_(augmentation), sample_ids_(host_tensor(Shape{most_rows}, DType::kInt64)) {
  const Shape sample = augmentation ? augmentation->sample_shape() : dataset.sample_shape();
  const TargetKind target = augmentation ? augmentation->target() : dataset.target();
  const std::int64_t columns =
      augmentation ? augmentation->target_columns() : dataset.target_columns();
  x_ = host_tensor(sample.with_rows(most_rows), dataset.x_type());
  if (target == TargetKind::kClass)
    y_ = host_tensor(Shape{most_rows}, DType::kInt64);
  else if (target == TargetKind::kValues)
    y_ = host_tensor(Shape{most_rows, columns}, DType::kFloat32);
  if (dataset.has_weight()) weight_ = host_tensor(Shape{most_rows}, DType::kFloat32);
  resize(most_rows);
}

void ShardBuffer::resize(std::int64_t rows) {
  batch_.rows = rows;
  batch_.sample_ids = sample_ids_.head(rows);
  batch_.x = x_.head(rows);
  if (y_) batch_.y = y_.head(rows);
  if (weight_) batch_.weight = weight_.head(rows);
}

void ShardBuffer::name_rows(const EpochOrder& order, const ShardPlace& place) {
  if (place.rows != batch_.rows) resize(place.rows);
  const std::span<std::int64_t> ids = batch_.sample_ids.span<std::int64_t>();
  if (order)
    std::copy_n(order->begin() + place.begin, place.rows, ids.begin());
  else
    std::iota(ids.begin(), ids.end(), place.begin);
}

void ShardBuffer::fill(const Dataset& dataset, const EpochOrder& order, const ShardPlace& place,
                       ShardWorkspace& workspace) {
  name_rows(order, place);
  if (place.rows == 0) return;
  const std::span<const std::int64_t> ids = batch_.sample_ids.span<std::int64_t>();
  workspace.rows_.assign(ids.begin(), ids.end());
  for (std::int64_t& row : workspace.rows_) row %= dataset.rows();  // of several copies
  if (augmentation_ == nullptr) {
    dataset.read(workspace.rows_, batch_.x, batch_.y, batch_.weight);
    return;
  }
  RowBlock stored = workspace.stored_->head(place.rows);
  if (!mixes()) {  // targets stay as they are
    stored.y = batch_.y;
    stored.weight = batch_.weight;
  }
  dataset.read(workspace.rows_, stored.x, stored.y, stored.weight);
  augment(stored, place, workspace);
}

void ShardBuffer::fill(const RowBlock& stored, const EpochOrder& order, const ShardPlace& place,
                       ShardWorkspace& workspace) {
  name_rows(order, place);
  if (place.rows == 0) return;
  if (!mixes()) {
    batch_.y = stored.y;
    batch_.weight = stored.weight;
  }
  if (augmentation_ == nullptr)
    batch_.x = stored.x;
  else
    augment(stored, place, workspace);
}

void ShardBuffer::augment(const RowBlock& stored, const ShardPlace& place,
                          ShardWorkspace& workspace) {
  const std::span<const std::int64_t> ids = batch_.sample_ids.span<std::int64_t>();
  if (!augmentation_->mixes()) {
    augmentation_->transform(stored.x, ids, place.epoch, workspace.scratch_, batch_.x);
    return;
  }
  PlainRows plain{stored.x, stored.y, stored.weight};
  if (augmentation_->transforms()) {
    plain.x = workspace.plain_.head(place.rows);
    augmentation_->transform(stored.x, ids, place.epoch, workspace.scratch_, plain.x);
  }
  PlainRows mixed{batch_.x, batch_.y, batch_.weight};
  augmentation_->mix(plain, ids, {place.epoch, place.step, place.shard}, mixed);
}

}  // namespace lockstep
