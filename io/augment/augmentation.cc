#include "io/augment/augmentation.h"

#include <algorithm>
#include <cstring>

namespace lockstep {

namespace {

ImageSpan image_of(std::byte* data, DType type, const Shape& shape) {
  return {data, type, shape[0], shape[1], shape[2]};
}

void check_image(const Shape& sample) {
  if (sample.rank() != 3)
    throw Error("it takes images (height, width, channels), but the samples are {}",
                sample.to_string());
}

template <typename Check>
void named(const std::string& where, const Check& check) {
  try {
    check();
  } catch (const Error& error) {
    throw Error("{}: {}", where, error.what());
  }
}

void check_numbers(DType type) {
  if (type == DType::kInt64) throw Error("it takes numbers, but the samples are ids");
}

}  // namespace

Shape augmented_shape(const AugmentOptions& options, const Shape& stored) {
  Shape shape = stored;
  for (const auto& [transform, where] : options.steps) {
    named(where, [&] { check_image(shape); });
    shape = transform->output_shape(shape);
  }
  return shape;
}

Augmentation::Augmentation(AugmentOptions options, const Dataset& dataset, std::int64_t classes)
    : options_(std::move(options)),
      shapes_{dataset.sample_shape()},
      type_(dataset.x_type()),
      stored_target_(dataset.target()),
      columns_(stored_target_ == TargetKind::kClass && mixes() ? classes
                                                               : dataset.target_columns()) {
  for (std::size_t i = 0; i < options_.steps.size(); ++i) {
    const ImageTransform& transform = *options_.steps[i].transform;
    named(options_.steps[i].where, [&] {
      check_image(shapes_.back());
      check_numbers(type_);
      transform.check(shapes_.back(), type_);
      shapes_.push_back(transform.output_shape(shapes_.back()));
    });
    if (!transform.in_place()) last_moving_ = i + 1;
    largest_bytes_ = std::max(largest_bytes_,
                              static_cast<std::size_t>(shapes_.back().elements()) * size_of(type_));
  }
  if (!mixes()) return;
  named(options_.mix_where, [&] {
    if (options_.mix.cutmix_alpha > 0) check_image(shapes_.back());
    check_numbers(type_);
  });
}

TargetKind Augmentation::target() const {
  return mixes() && stored_target_ == TargetKind::kClass ? TargetKind::kValues : stored_target_;
}

std::int64_t Augmentation::target_columns() const {
  return columns_;
}

void Augmentation::transform(const Tensor& x, std::span<const std::int64_t> sample_ids,
                             std::int64_t epoch, AugmentWorkspace& workspace, Tensor& out) const {
  const std::size_t from_bytes =
      static_cast<std::size_t>(shapes_.front().elements()) * size_of(type_);
  const std::size_t to_bytes = static_cast<std::size_t>(shapes_.back().elements()) * size_of(type_);
  LOCKSTEP_CHECK(
      x.bytes() == from_bytes * sample_ids.size() && out.bytes() == to_bytes * sample_ids.size(),
      "{} samples of {} become {}", sample_ids.size(), x.shape().to_string(),
      out.shape().to_string());
  for (std::vector<std::byte>& image : workspace.images) image.resize(largest_bytes_);
  for (std::size_t i = 0; i < sample_ids.size(); ++i)
    transform_image(x.raw() + i * from_bytes, sample_ids[i], epoch, workspace,
                    out.raw() + i * to_bytes);
}

// From the stored image through the workspace's two to `out`, where the last transform that moves
// pixels puts them; the others work where the image is.
void Augmentation::transform_image(std::byte* stored, std::int64_t sample, std::int64_t epoch,
                                   AugmentWorkspace& workspace, std::byte* out) const {
  ImageSpan image = image_of(stored, type_, shapes_.front());
  std::size_t next = 0;
  if (last_moving_ == 0) {
    std::memcpy(out, stored, image.bytes());
    image.data = out;
  }
  for (std::size_t i = 0; i < options_.steps.size(); ++i) {
    const ImageTransform& transform = *options_.steps[i].transform;
    ImageSpan to = image;
    if (!transform.in_place()) {
      to = image_of(i + 1 == last_moving_ ? out : workspace.images[next].data(), type_,
                    shapes_[i + 1]);
      next = 1 - next;
    }
    transform.apply(SampleRandom(options_.seed, epoch, sample, i), image, to, workspace);
    image = to;
  }
}

std::vector<Augmentation::Pair> Augmentation::pairs(std::span<const std::int64_t> sample_ids,
                                                    const Place& place) const {
  const std::size_t index = options_.steps.size();
  std::vector<std::int32_t> partners(sample_ids.size());
  draw_partners(SampleRandom(options_.seed, place.step, place.shard, index + 1), partners);
  std::vector<Pair> pairs(sample_ids.size());
  for (std::size_t i = 0; i < pairs.size(); ++i)
    pairs[i] = {draw_mix(SampleRandom(options_.seed, place.epoch, sample_ids[i], index),
                         options_.mix, shapes_.back()),
                partners[i]};
  return pairs;
}

void Augmentation::mix(const PlainRows& rows, std::span<const std::int64_t> sample_ids,
                       const Place& place, PlainRows& out) const {
  const std::vector<Pair> mixes = pairs(sample_ids, place);
  const std::size_t bytes = static_cast<std::size_t>(shapes_.back().elements()) * size_of(type_);
  for (std::size_t i = 0; i < mixes.size(); ++i) {
    const auto partner = static_cast<std::size_t>(mixes[i].partner);
    mix_elements(mixes[i].mix, shapes_.back(), type_, rows.x.raw() + i * bytes,
                 rows.x.raw() + partner * bytes, out.x.raw() + i * bytes);
    mix_targets(rows, static_cast<std::int64_t>(i), mixes[i], out);
  }
}

// With shares a + b = 1 and weights v, w the row weighs a v + b w, and its target is the mean of
// both by a v and b w.
void Augmentation::mix_targets(const PlainRows& rows, std::int64_t row, const Pair& pair,
                               PlainRows& out) const {
  float own = static_cast<float>(pair.mix.share) / Mix::kWhole, other = 1.0f - own;
  if (rows.weight) {
    own *= rows.weight.data<float>()[row];
    other *= rows.weight.data<float>()[pair.partner];
    const float weight = own + other;
    out.weight.data<float>()[row] = weight;
    own = weight > 0 ? own / weight : 1.0f;
    other = 1.0f - own;
  }
  if (!rows.y) return;
  float* const target = out.y.data<float>() + row * columns_;
  if (stored_target_ == TargetKind::kClass) {
    const std::int64_t* const labels = rows.y.data<std::int64_t>();
    std::fill_n(target, columns_, 0.0f);
    target[labels[row]] += own;
    target[labels[pair.partner]] += other;
    return;
  }
  const float* const values = rows.y.data<float>();
  for (std::int64_t c = 0; c < columns_; ++c) {
    const float first = own * values[row * columns_ + c];
    const float second = other * values[pair.partner * columns_ + c];
    target[c] = first + second;
  }
}

}  // namespace lockstep
