// Optimizer: turns the gradient of a slice into new weights. Slices are cut into segments of one
// treatment, so that norms and biases can be left without decay and layers frozen.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/config/config.h"
#include "runtime/step/params.h"

namespace lockstep {

// What a step does to a parameter.
struct Treatment {
  ParamKind kind = ParamKind::kTrainable;
  double lr_scale = 1;            // factor of the learning rate
  bool decays = true;             // by weight_decay and by the penalties of the loss
  double weight_decay = 0;        // 0 where !decays
  std::int64_t first_step = 0;    // from which on it trains: its own steps count from there
  float average_momentum = 0.0f;  // kStatistic
  bool operator==(const Treatment&) const = default;
};

struct Segment {
  ElementRange range;  // of the flat buffers
  Treatment treatment;
};

// Steps from which parameters train that did not from the run's start on, by name.
using FirstSteps = std::map<std::string, std::int64_t>;

// Covers all that trains, padding included; neighbours of one treatment are one segment. Throws
// Error where a group of the config fits no parameter.
std::vector<Segment> make_segments(const ParamSet& params, const OptimizerConfig& config,
                                   const FirstSteps& first_steps = {});

class Optimizer {
 public:
  static std::unique_ptr<Optimizer> make(const OptimizerConfig& config);
  virtual ~Optimizer() = default;

  static constexpr std::size_t kMaxStates = 3;

  // Flat arrays beside the values, by the names that checkpoints use.
  virtual std::vector<std::string> states() const = 0;
  std::size_t state_count() const { return state_count_; }
  // step counts from 1, where the parameter begins to train. All tensors are the segment's part of
  // the flat buffers.
  virtual void update(Backend& backend, Stream& stream, const Treatment& treatment,
                      std::int64_t step, double lr, const Tensor& gradient, Tensor& value,
                      std::span<Tensor> states) const = 0;

 private:
  std::size_t state_count_ = 0;
};

}  // namespace lockstep
