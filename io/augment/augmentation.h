// Augmentation: what data.augment makes of the samples that training sees. Each transform of each
// sample is a pure function of (seed, epoch, sample, place in the list); which rows are mixed is
// one of (seed, step, shard). So the stream is the same on any number of ranks and threads, from
// memory or from disk, and after a resume.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/augment/mixing.h"
#include "io/augment/transform.h"
#include "io/dataset/dataset.h"

namespace lockstep {

struct AugmentStep {
  std::shared_ptr<const ImageTransform> transform;
  std::string where;  // "digits.toml:12: data.augment[0] (random_crop)", for messages
};

struct AugmentOptions {
  std::vector<AugmentStep> steps;  // one after another
  MixOptions mix;                  // after all of them
  std::string mix_where;
  std::uint64_t seed = 0;
};

// What a sample of the stored shape becomes. Throws Error naming the entry that takes images, where
// samples are none.
Shape augmented_shape(const AugmentOptions& options, const Shape& stored);

// Of one shard, before they are mixed.
struct PlainRows {
  Tensor x, y, weight;  // y, weight undefined where the data have none
};

class Augmentation {
 public:
  // For samples of this dataset; `classes`: how many labels tell apart. Throws Error naming the
  // entry of the list that does not fit them.
  Augmentation(AugmentOptions options, const Dataset& dataset, std::int64_t classes);

  const Shape& sample_shape() const { return shapes_.back(); }  // of its results
  bool transforms() const { return !options_.steps.empty(); }
  bool mixes() const { return options_.mix.any(); }
  // Of the targets that training sees: class labels that are mixed become probabilities.
  TargetKind target() const;
  std::int64_t target_columns() const;

  // x: (n, stored sample...) -> out: (n, sample_shape()...), image by image. x is written over.
  void transform(const Tensor& x, std::span<const std::int64_t> sample_ids, std::int64_t epoch,
                 AugmentWorkspace& workspace, Tensor& out) const;
  // Where mixes(): rows of the shape sample_shape() and their targets -> the same mixed. A weight
  // of a row is that of its parts: the loss is the weighted mean of the losses with either target.
  struct Place {
    std::int64_t epoch, step, shard;
  };
  void mix(const PlainRows& rows, std::span<const std::int64_t> sample_ids, const Place& place,
           PlainRows& out) const;
  // The share of row i that is its own, and its partner; as mix() uses them.
  struct Pair {
    Mix mix;
    std::int32_t partner = 0;
  };
  std::vector<Pair> pairs(std::span<const std::int64_t> sample_ids, const Place& place) const;

 private:
  void transform_image(std::byte* stored, std::int64_t sample, std::int64_t epoch,
                       AugmentWorkspace& workspace, std::byte* out) const;
  void mix_targets(const PlainRows& rows, std::int64_t row, const Pair& pair, PlainRows& out) const;

  AugmentOptions options_;
  std::vector<Shape> shapes_;    // of the stored sample, and after each step
  std::size_t last_moving_ = 0;  // steps that do not work in place: the last one's index + 1
  std::size_t largest_bytes_ = 0;
  DType type_;
  TargetKind stored_target_;
  std::int64_t columns_;
};

}  // namespace lockstep
