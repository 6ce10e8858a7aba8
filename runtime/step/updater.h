// Updater: an owner's side of a step. For the slices that its worker owns it finishes the tree,
// divides by the global weight, adds the penalties, checks that the gradient is finite, clips,
// takes the optimizer's step, and moves the average of the weights: in that order.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/step/optimizer.h"
#include "runtime/step/step_numbers.h"

namespace lockstep {

struct UpdateRule {
  const Optimizer& optimizer;
  std::vector<Segment> segments;
  double clip_norm = 0, clip_value = 0;  // at most one; 0: no clipping
  PenaltyOptions penalty = {};           // of the segments that decay
  double average_decay = 0;  // of the moving average, the state behind the optimizer's; 0: none
};

class Updater {
 public:
  Updater(const ParamSet& params, const std::vector<ElementRange>& buckets, StepNumbers& numbers,
          Exchange& exchange, int worker, const UpdateRule& rule, Backend& backend, Stream& stream);

  // Step counts from 0. Returns when all weights of the step are there; the numbers then have the
  // sums over all shards, the same on every worker of every rank.
  void update(std::int64_t step, double lr);
  // Later updates copy the gradient of this worker's slices, as the optimizer sees it (penalties
  // added, clipped), to their places in a host buffer of all elements; null: no more.
  void keep_gradient(float* flat) { kept_gradient_ = flat; }

 private:
  template <typename Wait>
  void wait(const Wait& wait);  // for other workers: its time has a name of its own in profiles
  void sum_slice(int bucket);
  void add_penalties(ElementRange slice, const Tensor& gradient);
  void apply(int bucket, std::int64_t step, double lr);
  void move_average(ElementRange slice);

  const ParamSet& params_;
  const std::vector<ElementRange>& buckets_;
  StepNumbers& numbers_;
  Exchange& exchange_;
  int worker_;
  const UpdateRule& rule_;
  Backend& backend_;
  Stream& stream_;
  float* kept_gradient_ = nullptr;
  std::vector<TreeNode> nodes_;  // scratch of sum_slice
};

}  // namespace lockstep
