// Optimizer: turns the gradient of a slice into new weights. Slices are cut into segments of one
// treatment, so that norms and biases can be left without decay and layers frozen.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/config/config.h"
#include "runtime/step/params.h"

namespace lockstep {

struct Segment {
  ElementRange range;  // of the flat buffers
  ParamKind kind = ParamKind::kTrainable;
  float lr_scale = 1.0f;
  bool decay = true;
  float average_momentum = 0.0f;  // kStatistic
  bool same_treatment(const Segment& other) const {
    return kind == other.kind && lr_scale == other.lr_scale && decay == other.decay &&
           average_momentum == other.average_momentum;
  }
};

// Covers the whole buffer, padding included; neighbours of one treatment are one segment.
std::vector<Segment> make_segments(const ParamSet& params, bool decay_norms_and_biases);

class Optimizer {
 public:
  static std::unique_ptr<Optimizer> make(const OptimizerConfig& config);
  virtual ~Optimizer() = default;

  static constexpr std::size_t kMaxStates = 3;

  // Flat arrays beside the values, by the names that checkpoints use.
  virtual std::vector<std::string> states() const = 0;
  std::size_t state_count() const { return state_count_; }
  // step counts from 1. All tensors are the segment's part of the flat buffers.
  virtual void update(Backend& backend, Stream& stream, const Segment& segment, std::int64_t step,
                      double lr, const Tensor& gradient, Tensor& value,
                      std::span<Tensor> states) const = 0;

 private:
  std::size_t state_count_ = 0;
};

}  // namespace lockstep
