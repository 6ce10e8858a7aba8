// Plans of cuDNN for convolutions: which of its engines computes one, and how. An engine is taken
// by a rule of the shape and the kind of GPU alone, never by a timing, and only if it gives the
// same bits in every run.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "kernels/cuda/cudnn_descriptor.h"
#include "kernels/cuda/libraries.h"

namespace lockstep::gpu {

enum class ConvPass { kForward, kForwardBias, kBackwardData, kBackwardWeights };

struct ConvQuestion {
  ConvPass pass = ConvPass::kForward;
  Convolution convolution;
  Float32Products products = Float32Products::kStrict;
  std::string text() const;  // "backward_data of 32 x (56, 56, 64), 3x3 to 64 channels, float32"
  using Key = std::array<std::int64_t, 17>;
  Key key() const;  // differs where questions do
};

// For what plans are made: the GPU of a handle, or one that is only described (cuDNN's JSON of
// device properties), for which plans can be built but not run.
class PlanTarget {
 public:
  explicit PlanTarget(cudnnHandle_t handle) : handle_(handle) {}
  explicit PlanTarget(const std::string& device_properties);

 private:
  friend class ConvPlan;
  CudnnDescriptor new_plan() const;  // not finalized
  cudnnHandle_t handle_ = nullptr;
  std::optional<CudnnDescriptor> device_;
};

class ConvPlan {
 public:
  // By cuDNN's heuristics, or by the choice of an earlier plan for the same question. Throws Error,
  // which names the question and what became of each engine, where none will do.
  ConvPlan(const ConvQuestion& question, const PlanTarget& target, const std::string& choice = "");

  // Tensors: x, w, y and, in a forward pass with bias, that; dx, dw, dy take their places.
  void run(cudnnHandle_t handle, std::span<void* const> tensors, void* workspace) const;
  std::size_t workspace_bytes() const { return workspace_bytes_; }
  // cuDNN's own text: {"engineId":62,...,"knobChoices":{"CUDNN_KNOB_TYPE_TILE_SIZE":7,...}}
  const std::string& choice() const { return choice_; }
  std::string json() const {
    return plan_->get_text(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
  }

 private:
  // "" where the plan stands, else "engine (why this configuration of it will not do)".
  std::string try_config(const ConvQuestion& question, const PlanTarget& target,
                         const CudnnDescriptor& config);
  // Another engine for the same graph.
  void take_engine(const ConvQuestion& question, const PlanTarget& target,
                   const CudnnDescriptor& graph, const std::string& engine);

  std::optional<CudnnDescriptor> plan_;
  std::string choice_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace lockstep::gpu
