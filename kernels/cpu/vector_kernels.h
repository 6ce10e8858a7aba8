// The table of vector kernels of one instruction set: plain functions on plain pointers, one struct
// a file of simd/. The files beside this one check tensors and call them. What an operation means
// stands in kernels/backend.h; here only what a pointer holds. Of the project's headers it
// includes plain structs alone, since an inline function could be emitted with this instruction
// set's code.
#pragma once

#include <cstdint>

#include "kernels/cpu/tile_epilogue.h"

namespace lockstep {

// One function with its gradient. `kept` is x or y, as Activation::backward_reads_input says.
struct ActivationKernel {
  void (*forward)(float parameter, const float* x, float* y, std::int64_t n);
  void (*backward)(float parameter, const float* kept, const float* dy, float* dx, std::int64_t n);
};

struct ActivationKernels {
  ActivationKernel relu, sigmoid, tanh, leaky_relu, elu, gelu, gelu_tanh, silu;
};

// What follows finished sums, by the activation at its end.
struct EpilogueKernels {
  TileEpilogue::Apply none, relu, sigmoid, tanh, leaky_relu, elu, gelu, gelu_tanh, silu;
};

struct ElementwiseKernels {
  void (*add)(const float* a, const float* b, float* y, std::int64_t n);
  void (*fill)(float value, float* y, std::int64_t n);
  void (*scale)(float factor, float* x, std::int64_t n);
  // One row of n elements. `counter` and `key` are Philox's, the counter's first word counting
  // from 0; `kept` is the factor of what stays.
  void (*dropout)(const std::uint32_t* counter, const std::uint32_t* key, float probability,
                  float kept, const float* x, float* y, std::int64_t n);
  // n elements, a multiple of the period.
  void (*scale_shift_u8)(const std::uint8_t* x, const float* scale, const float* shift,
                         std::int64_t period, float* y, std::int64_t n);
  void (*scale_shift_f32)(const float* x, const float* scale, const float* shift,
                          std::int64_t period, float* y, std::int64_t n);
  void (*scale_shift_i64)(const std::int64_t* x, const float* scale, const float* shift,
                          std::int64_t period, float* y, std::int64_t n);
};

struct PoolPlan {  // a PoolGeometry with its output's size
  std::int64_t in_h, in_w, channels, out_h, out_w;
  std::int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  bool count_include_pad;
};

struct PoolKernels {  // one image each
  void (*max_forward)(const PoolPlan& plan, const float* x, float* y, std::uint8_t* argmax);
  void (*max_backward)(const PoolPlan& plan, const float* dy, const std::uint8_t* argmax,
                       float* dx);
  void (*avg_forward)(const PoolPlan& plan, const float* x, float* y);
  void (*avg_backward)(const PoolPlan& plan, const float* dy, float* dx);
};

struct AdaptivePoolPlan {  // an AdaptivePoolGeometry
  std::int64_t in_h, in_w, channels, out_h, out_w;
};

struct AdaptivePoolKernels {  // one image each
  void (*max_forward)(const AdaptivePoolPlan& plan, const float* x, float* y, std::int64_t* place);
  void (*max_backward)(const AdaptivePoolPlan& plan, const float* dy, const std::int64_t* place,
                       float* dx);
  void (*avg_forward)(const AdaptivePoolPlan& plan, const float* x, float* y);
  void (*avg_backward)(const AdaptivePoolPlan& plan, const float* dy, float* dx);
};

struct MaxoutKernels {  // x (rows, pieces, channels), y (rows, channels)
  void (*forward)(const float* x, std::int64_t rows, std::int64_t pieces, std::int64_t channels,
                  float* y, std::uint8_t* piece);
  void (*backward)(const float* dy, const std::uint8_t* piece, std::int64_t rows,
                   std::int64_t pieces, std::int64_t channels, float* dx);
};

struct LayerNormKernels {  // x (rows, channels); mean and inv_std hold one value a row
  void (*forward)(const float* x, const float* gamma, const float* beta, float epsilon,
                  std::int64_t rows, std::int64_t channels, float* y, float* mean, float* inv_std);
  // run: 2 · channels floats of scratch. dx may be null.
  void (*backward)(const float* x, const float* dy, const float* gamma, const float* mean,
                   const float* inv_std, std::int64_t rows, std::int64_t channels, float* run,
                   float* dgamma, float* dbeta, float* dx);
};

struct NormKernels {  // x (rows, channels); the other arrays hold one value a channel
  void (*column_sums)(const float* x, std::int64_t rows, std::int64_t channels, float* sums);
  // Σ (x - mean)²
  void (*centred_squares)(const float* x, const float* mean, std::int64_t rows,
                          std::int64_t channels, float* sums);
  // y = (x - mean) · scale + shift
  void (*affine)(const float* x, const float* mean, const float* scale, const float* shift,
                 std::int64_t rows, std::int64_t channels, float* y);
  // sum_dy = Σ dy, sum_dy_x = Σ dy (x - mean)
  void (*gradient_sums)(const float* x, const float* dy, const float* mean, std::int64_t rows,
                        std::int64_t channels, float* sum_dy, float* sum_dy_x);
  // dx = a dy - (b + c (x - mean))
  void (*gradient_data)(const float* x, const float* dy, const float* mean, const float* a,
                        const float* b, const float* c, std::int64_t rows, std::int64_t channels,
                        float* dx);
  // y[row][c] = x[c] / divisor: the gradient of an average
  void (*spread)(const float* x, float divisor, std::int64_t rows, std::int64_t channels, float* y);
  // Σ a b
  void (*product_sums)(const float* a, const float* b, std::int64_t rows, std::int64_t channels,
                       float* sums);
  // y = x · factor + shift; shift may be null, y may be x
  void (*scale_columns)(const float* x, const float* factor, const float* shift, std::int64_t rows,
                        std::int64_t channels, float* y);
};

// Batch norm with the ReLU behind it, x (rows, channels). mask: two bytes for each 16 channels of a
// row, bit i for channel i: whether the gradient passes; may be null in `forward`.
struct BatchNormKernels {
  // mean, and squares = Σ (x - mean)²
  void (*moments)(const float* x, std::int64_t rows, std::int64_t channels, float* mean,
                  float* squares);
  // y = relu((x - mean) · scale + shift + residual); residual may be null
  void (*relu_forward)(const float* x, const float* mean, const float* scale, const float* shift,
                       const float* residual, std::int64_t rows, std::int64_t channels, float* y,
                       std::uint8_t* mask);
  // With d = dy where the gradient passes, else 0: sum_dy = Σ d, sum_dy_x = Σ d (x - mean)
  void (*relu_gradient_sums)(const float* x, const float* dy, const std::uint8_t* mask,
                             const float* mean, std::int64_t rows, std::int64_t channels,
                             float* sum_dy, float* sum_dy_x);
  // dx = a d - (b + c (x - mean)), dresidual = d; dresidual may be null, and either may be dy
  void (*relu_gradient_data)(const float* x, const float* dy, const std::uint8_t* mask,
                             const float* mean, const float* a, const float* b, const float* c,
                             std::int64_t rows, std::int64_t channels, float* dx, float* dresidual);
};

struct LossKernels {
  void (*softmax_forward)(const float* x, std::int64_t rows, std::int64_t classes, float* y);
  void (*softmax_backward)(const float* y, const float* dy, std::int64_t rows, std::int64_t classes,
                           float* dx);
  void (*log_softmax_forward)(const float* x, std::int64_t rows, std::int64_t classes, float* y);
  void (*log_softmax_backward)(const float* y, const float* dy, std::int64_t rows,
                               std::int64_t classes, float* dx);
  // One row's Σ q (-log softmax(logits)). The gradient (null: none) is that of the loss times
  // `weight`.
  float (*cross_entropy)(const float* logits, const float* q, std::int64_t classes, float weight,
                         float* gradient);
  // The same for a q that is zero but for q[label].
  float (*cross_entropy_label)(const float* logits, std::int64_t label, float q,
                               std::int64_t classes, float weight, float* gradient);
  // One value an element: the loss, and the gradient where it is not null.
  void (*binary_cross_entropy)(const float* logits, const float* target, std::int64_t n,
                               float* loss, float* gradient);
  void (*squared_error)(const float* prediction, const float* target, std::int64_t n, float* loss,
                        float* gradient);
  void (*absolute_error)(const float* prediction, const float* target, std::int64_t n,
                         float* error);
  double (*sum)(const float* x, std::int64_t n);  // in double, over 16 virtual lanes
};

struct RobustLossKernels {  // losses that grow no faster than the error
  // One value an element: the loss, and the gradient where it is not null.
  void (*absolute)(const float* prediction, const float* target, std::int64_t n, float* loss,
                   float* gradient);
  void (*huber)(float delta, const float* prediction, const float* target, std::int64_t n,
                float* loss, float* gradient);
  // One row's Σ over c ≠ label of max(0, 1 - x_label + x_c) / classes. The gradient (null: none) is
  // that of the loss times `weight`.
  float (*hinge_label)(const float* logits, std::int64_t label, std::int64_t classes, float weight,
                       float* gradient);
};

struct RecurrentKernels {  // one row; `hidden` elements a state, and a gate
  void (*lstm_forward)(const float* x, const float* h, const float* c_before, std::int64_t hidden,
                       float* gates, float* c, float* y);
  void (*lstm_backward)(const float* gates, const float* c_before, const float* c, const float* dy,
                        const float* dc, std::int64_t hidden, float* dgates, float* dc_before);
  void (*gru_forward)(const float* x, const float* h, const float* h_before, std::int64_t hidden,
                      float* gates, float* y);
  void (*gru_backward)(const float* gates, const float* h, const float* h_before, const float* dy,
                       std::int64_t hidden, float* dx, float* dh, float* dh_before);
};

struct AdamScalars {  // computed in double on the host, then rounded
  float beta2, one_minus_beta1, one_minus_beta2;
  float inv_sqrt_correction2;  // 1 / sqrt(1 - beta2^step)
  float epsilon;
  float step_size;  // lr / (1 - beta1^step)
  float decay;      // added to the gradient, times the value; 0 if decoupled
  float shrink;     // factor of the value; 1 if not decoupled
};

struct SgdScalars {
  float lr, momentum, one_minus_dampening, decay;
  bool nesterov, first_step;
};

struct RmspropScalars {
  float lr, alpha, one_minus_alpha, epsilon, momentum, decay;
};

struct AdagradScalars {
  float lr;  // of this step
  float epsilon, decay, initial;
  bool first_step;
};

struct UpdateKernels {
  // y = tree(nodes) / divisor over n elements. joins[i]: how often the newest two sums on the
  // stack join after node i was pushed; depth: the stack's greatest height, at most kMaxTreeDepth.
  void (*tree_sum)(const float* const* nodes, const int* joins, int count, float divisor, float* y,
                   std::int64_t n);
  // out[b]: the sum over block b of `block` elements
  void (*squared_norms)(const float* x, std::int64_t block, std::int64_t n, double* out);
  void (*sgd)(const SgdScalars& scalars, const float* gradient, float* value, float* momentum,
              std::int64_t n);
  void (*adam)(const AdamScalars& scalars, const float* gradient, float* value, float* m, float* v,
               std::int64_t n);
  // momentum, mean: null where they are not used
  void (*rmsprop)(const RmspropScalars& scalars, const float* gradient, float* value, float* square,
                  float* momentum, float* mean, std::int64_t n);
  void (*adagrad)(const AdagradScalars& scalars, const float* gradient, float* value, float* sum,
                  std::int64_t n);
  void (*clamp)(float limit, float* x, std::int64_t n);
  void (*add_penalty)(float l1, float l2, const float* value, float* gradient, std::int64_t n);
  void (*running_average)(float momentum, const float* mean, float* value, std::int64_t n);
};

inline constexpr int kMaxTreeDepth = 32;

struct VectorKernels {
  const ActivationKernels& activation;
  const EpilogueKernels& epilogue;
  const ElementwiseKernels& elementwise;
  const PoolKernels& pool;
  const AdaptivePoolKernels& adaptive_pool;
  const MaxoutKernels& maxout;
  const LayerNormKernels& layer_norm;
  const NormKernels& norm;
  const BatchNormKernels& batch_norm;
  const LossKernels& loss;
  const RobustLossKernels& robust_loss;
  const RecurrentKernels& recurrent;
  const UpdateKernels& update;
};

}  // namespace lockstep
