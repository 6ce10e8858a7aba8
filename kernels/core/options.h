// What the operations of backend.h are told beside tensors: geometries, options of optimizers and
// losses, activations, what follows a product.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/core/philox.h"
#include "kernels/core/tensor.h"

namespace lockstep {

// Gradient norms, owners' slices and trees are cut at multiples of this many elements.
inline constexpr std::int64_t kBlockElements = 4096;

// How a parameter lies in memory against the file's order (PyTorch's).
struct ParamLayout {
  enum class Kind { kPlain, kLinear, kConv } kind = Kind::kPlain;
  // kLinear: file (out, in). If `image` has rank 3 (H, W, C), the inputs are the flattened image
  // and the file's columns run C, H, W while memory's run H, W, C.
  // kConv: file (out, in / groups, kernel_h, kernel_w).
  Shape image;
  std::int64_t groups = 1;  // kConv
};

struct LinearGeometry {  // y (N, out) = x (N, in) · w + bias (out)
  std::int64_t in = 0, out = 0;
};

struct ConvGeometry {  // cross-correlation, as PyTorch's Conv2d
  std::int64_t in_h = 0, in_w = 0, in_c = 0, out_c = 0;
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1, groups = 1;
  bool direct = false;  // no algorithm whose rounding errors exceed those of the plain sums
  std::int64_t out_h() const {
    return (in_h + 2 * pad_h - dilation_h * (kernel_h - 1) - 1) / stride_h + 1;
  }
  std::int64_t out_w() const {
    return (in_w + 2 * pad_w - dilation_w * (kernel_w - 1) - 1) / stride_w + 1;
  }
  std::int64_t weight_elements() const { return out_c * (in_c / groups) * kernel_h * kernel_w; }
  friend bool operator==(const ConvGeometry&, const ConvGeometry&) = default;
};

struct PoolGeometry {
  std::int64_t in_h = 0, in_w = 0, channels = 0;
  std::int64_t kernel_h = 2, kernel_w = 2, stride_h = 2, stride_w = 2, pad_h = 0, pad_w = 0;
  bool count_include_pad = true;  // average pooling alone; PyTorch's default
  std::int64_t out_h() const { return (in_h + 2 * pad_h - kernel_h) / stride_h + 1; }
  std::int64_t out_w() const { return (in_w + 2 * pad_w - kernel_w) / stride_w + 1; }
};

struct AttentionGeometry {
  std::int64_t tokens = 0, heads = 1, head_width = 0;
  bool causal = false;        // a token attends to itself and those before it
  std::int64_t padding = -1;  // nor to a token whose id this is; -1: there is none
  std::int64_t width() const { return heads * head_width; }
};

// Windows as PyTorch's AdaptiveAvgPool2d has them: output o of O sees the inputs from floor(o I /
// O) to ceil((o + 1) I / O); neighbours may overlap.
struct AdaptivePoolGeometry {
  std::int64_t in_h = 0, in_w = 0, channels = 0, out_h = 1, out_w = 1;
};

// A function of one number, with its parameter where it has one. A kind alone converts to it.
struct Activation {
  enum Kind {
    kRelu,
    kSigmoid,
    kTanh,
    kLeakyRelu,  // x > 0 ? x : slope · x
    kElu,        // x > 0 ? x : alpha (e^x - 1)
    kGelu,       // x Φ(x), Φ the normal distribution (erf)
    kGeluTanh,   // the same by tanh: PyTorch's approximate = "tanh"
    kSilu,       // x sigmoid(x)
  };
  Kind kind;
  float parameter;  // slope or alpha, at least 0; 0 for the others

  constexpr Activation(Kind k)  // NOLINT: a kind is an activation with the usual parameter
      : Activation(k, k == kLeakyRelu ? 0.1f
                      : k == kElu     ? 1.0f
                                      : 0.0f) {}
  constexpr Activation(Kind k, float p) : kind(k), parameter(p) {}
  // Whether the gradient is a function of x; else it is one of y.
  constexpr bool backward_reads_input() const { return kind >= kGelu; }
  friend bool operator==(const Activation&, const Activation&) = default;
};

struct DropoutOptions {
  float probability = 0.5f;  // of a zero; kept elements are divided by 1 - probability
  RandomKey key;             // time = step, layer = the dropout layer's index
};

struct BatchNormOptions {
  float epsilon = 1e-5f;
};

// Of the mask of a ReLU over vectors of so many channels: two for each 16.
constexpr std::int64_t relu_mask_bytes(std::int64_t channels) {
  return (channels + 15) / 16 * 2;
}

// What may follow a convolution or a linear layer in evaluation, done while its sums are in the
// caches: y = activation(batch_norm(sums) + residual) by the running statistics, with the bits of
// the operations one by one. gamma undefined: no batch norm; residual (y's shape) undefined: none.
struct Epilogue {
  BatchNormOptions batch_norm;
  Tensor gamma, beta, running_mean, running_var;
  Tensor residual;
  std::optional<Activation> activation;

  bool empty() const { return !gamma && !residual && !activation; }
  // Adds what follows this. False, and nothing is added, where one epilogue cannot hold both.
  bool append(const Epilogue& after) {
    if (activation || (residual && (after.residual || after.gamma)) || (gamma && after.gamma))
      return false;
    if (after.gamma) {
      batch_norm = after.batch_norm;
      gamma = after.gamma;
      beta = after.beta;
      running_mean = after.running_mean;
      running_var = after.running_var;
    }
    if (after.residual) residual = after.residual;
    activation = after.activation;
    return true;
  }
};

struct LayerNormOptions {
  float epsilon = 1e-5f;
};

struct CrossEntropyOptions {
  float label_smoothing = 0.0f;
  std::int64_t ignore_label = -1;  // rows with this class have no loss, no gradient, no weight
};

struct HuberOptions {
  float delta = 1.0f;  // |error| up to which the loss is a square
};

struct HingeOptions {
  std::int64_t ignore_label = -1;  // as CrossEntropyOptions'
};

struct PenaltyOptions {  // of the objective: l1 Σ |value| + l2 / 2 Σ value²
  float l1 = 0, l2 = 0;
};

struct SgdOptions {
  float lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
  bool first_step = false;  // the momentum buffer starts as the gradient, as PyTorch's
};

struct AdamOptions {
  float lr = 0, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f, weight_decay = 0;
  bool decoupled = false;  // AdamW: value -= lr · weight_decay · value
  std::int64_t step = 1;   // 1 at the first update; bias corrections are computed in double
};

struct RmspropOptions {
  float lr = 0, alpha = 0.99f, epsilon = 1e-8f, momentum = 0, weight_decay = 0;
  bool centered = false;
};

struct AdagradOptions {
  float lr = 0, epsilon = 1e-10f, weight_decay = 0;
  double lr_decay = 0;    // the rate is lr / (1 + (step - 1) lr_decay)
  float initial = 0;      // what the sums start from
  std::int64_t step = 1;  // 1 at the first update, which does not read the sums
};

struct TreeNode {  // the sum of `shards` neighbouring leaves; shards is a power of two
  Tensor sum;
  std::int64_t shards = 1;
};

}  // namespace lockstep
