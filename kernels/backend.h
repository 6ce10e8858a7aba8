// Backend: a Device that can also do arithmetic. This file is the table of contents of kernels/:
// every operation, pure virtual, on a given stream; inputs first, outputs last, options as one
// struct (core/options.h). The number of rows is that of the tensors; outputs never alias inputs
// except where said.
//
// Conventions
//   x, y       activations, row-major, rows first; images (N, H, W, C)
//   w          weights in the backend's own order (see ParamLayout); files use PyTorch's order
//   dx, dy, dw gradients with respect to x, y, w; every gradient overwrites its target
//   sums       float64 tensor on the host that an operation overwrites; valid after the stream is
// Sums over k run in fixed runs of at most 128 terms, sums across lanes over 16 virtual lanes, so
// the bits depend on shapes alone. All operations throw Error when shapes or types do not fit.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/core/device.h"
#include "kernels/core/options.h"

namespace lockstep {

class Backend : public Device {
 public:
  virtual std::string_view isa() const = 0;  // "avx512", "avx2", "generic"; for a GPU its "sm_90"

  // What activations and their gradients are to be held in: float32 or bfloat16. Parameters and
  // their gradients, statistics and the optimizer's state are float32 all the same; the operations
  // then read weights from their packed copies, which are of this type.
  virtual DType activation_type() const { return DType::kFloat32; }
  // Whether the data gradient reads the packed copy that forward does, and needs none of its own.
  virtual bool packs_alike() const { return false; }

  // ---- order of parameters; host tensors on the file's side
  virtual void from_file_order(const ParamLayout& layout, const Shape& file_shape,
                               const Tensor& file_values, Tensor& value) = 0;
  virtual void to_file_order(const ParamLayout& layout, const Shape& file_shape,
                             const Tensor& value, Tensor& file_values) = 0;

  // ---- linear: x (N, in), w (in · out), bias (out) or undefined, y (N, out)
  // `packed` is a second copy of w in the order that the data gradient reads, refreshed by
  // linear_pack once a step; packed_elements is 0 where the backend wants none.
  virtual std::int64_t linear_packed_elements(const LinearGeometry&, bool data_gradient) = 0;
  virtual void linear_pack(Stream&, const LinearGeometry&, bool data_gradient, const Tensor& w,
                           Tensor& packed) = 0;
  virtual void linear_forward(Stream&, const LinearGeometry&, const Tensor& x, const Tensor& w,
                              const Tensor& packed, const Tensor& bias, Tensor& y) = 0;
  virtual void linear_inference(Stream&, const LinearGeometry&, const Tensor& x, const Tensor& w,
                                const Tensor& packed, const Tensor& bias, const Epilogue&,
                                Tensor& y) = 0;
  virtual void linear_backward_data(Stream&, const LinearGeometry&, const Tensor& dy,
                                    const Tensor& w, const Tensor& packed, Tensor& dx) = 0;
  virtual void linear_backward_weights(Stream&, const LinearGeometry&, const Tensor& x,
                                       const Tensor& dy, Tensor& dw, Tensor& dbias) = 0;

  // ---- convolution: x (N, in_h, in_w, in_c), y (N, out_h, out_w, out_c); packed as above
  virtual std::int64_t conv_packed_elements(const ConvGeometry&, bool data_gradient) = 0;
  virtual void conv_pack(Stream&, const ConvGeometry&, bool data_gradient, const Tensor& w,
                         Tensor& packed) = 0;
  virtual void conv_forward(Stream&, const ConvGeometry&, const Tensor& x, const Tensor& w,
                            const Tensor& packed, const Tensor& bias, Tensor& y) = 0;
  virtual void conv_inference(Stream&, const ConvGeometry&, const Tensor& x, const Tensor& w,
                              const Tensor& packed, const Tensor& bias, const Epilogue&,
                              Tensor& y) = 0;
  // add: to what dx holds.
  virtual void conv_backward_data(Stream&, const ConvGeometry&, const Tensor& dy, const Tensor& w,
                                  const Tensor& packed, bool add, Tensor& dx) = 0;
  // add: the gradient, rounded as it is without, is added to what dw holds; dbias is overwritten
  // all the same. Only where conv_adds_gradient says that it costs less than a tensor of its own,
  // for batches of up to so many images.
  virtual bool conv_adds_gradient(const ConvGeometry&, std::int64_t images) = 0;
  virtual void conv_backward_weights(Stream&, const ConvGeometry&, const Tensor& x,
                                     const Tensor& dy, bool add, Tensor& dw, Tensor& dbias) = 0;

  // ---- pooling. `argmax` (uint8, y's shape): the place in the window, row-major; the first of
  // equals wins; a window has at most 255 places. Padding never wins and counts as zero in
  // averages.
  virtual void max_pool_forward(Stream&, const PoolGeometry&, const Tensor& x, Tensor& y,
                                Tensor& argmax) = 0;
  virtual void max_pool_backward(Stream&, const PoolGeometry&, const Tensor& dy,
                                 const Tensor& argmax, Tensor& dx) = 0;
  virtual void avg_pool_forward(Stream&, const PoolGeometry&, const Tensor& x, Tensor& y) = 0;
  virtual void avg_pool_backward(Stream&, const PoolGeometry&, const Tensor& dy, Tensor& dx) = 0;
  virtual void global_avg_pool_forward(Stream&, const Tensor& x,
                                       Tensor& y) = 0;  // (N,H,W,C)->(N,C)
  virtual void global_avg_pool_backward(Stream&, const Tensor& dy, Tensor& dx) = 0;

  // `place` (int64, y's shape): h · in_w + w of the largest, the first of equals.
  virtual void adaptive_max_pool_forward(Stream&, const AdaptivePoolGeometry&, const Tensor& x,
                                         Tensor& y, Tensor& place) = 0;
  virtual void adaptive_max_pool_backward(Stream&, const AdaptivePoolGeometry&, const Tensor& dy,
                                          const Tensor& place, Tensor& dx) = 0;
  virtual void adaptive_avg_pool_forward(Stream&, const AdaptivePoolGeometry&, const Tensor& x,
                                         Tensor& y) = 0;
  virtual void adaptive_avg_pool_backward(Stream&, const AdaptivePoolGeometry&, const Tensor& dy,
                                          Tensor& dx) = 0;

  // ---- element by element; y may alias x, dx may alias dy
  virtual void activation_forward(Stream&, Activation, const Tensor& x, Tensor& y) = 0;
  // kept: x where the activation's backward_reads_input(), else y.
  virtual void activation_backward(Stream&, Activation, const Tensor& kept, const Tensor& dy,
                                   Tensor& dx) = 0;
  virtual void add(Stream&, const Tensor& a, const Tensor& b, Tensor& y) = 0;  // y may alias a or b
  // y = x as another type: float32 or bfloat16, to nearest, ties to even.
  virtual void convert(Stream&, const Tensor& x, Tensor& y) = 0;
  // y = x · factor + shift of the sample and channel: x (N, ..., C), factor and shift (N, C), the
  // latter may be undefined; y may alias x. The gradient with respect to x is the same of dy; that
  // of the factor is dfactor = Σ dy x over the places between.
  virtual void scale_channels(Stream&, const Tensor& x, const Tensor& factor, const Tensor& shift,
                              Tensor& y) = 0;
  virtual void scale_channels_backward(Stream&, const Tensor& x, const Tensor& dy,
                                       Tensor& dfactor) = 0;
  virtual void fill(Stream&, float value, Tensor& y) = 0;
  // The mask is recomputed, not stored: the same call with dy for x is the backward pass.
  // sample_ids: int64 (N), the samples' places in the dataset.
  virtual void dropout(Stream&, const DropoutOptions&, const Tensor& sample_ids, const Tensor& x,
                       Tensor& y) = 0;
  // The same for whole samples: y[n] is 0 with the given probability, else x[n] / (1 -
  // probability); the sample's number is that of its element 0.
  virtual void drop_samples(Stream&, const DropoutOptions&, const Tensor& sample_ids,
                            const Tensor& x, Tensor& y) = 0;
  // y[i] = x[i] · scale[i mod P] + shift[i mod P], one fused rounding; x uint8, float32 or int64;
  // scale and shift float32 (P), where P divides the elements of a row.
  virtual void scale_shift(Stream&, const Tensor& x, const Tensor& scale, const Tensor& shift,
                           Tensor& y) = 0;

  // ---- over the last axis
  virtual void softmax_forward(Stream&, const Tensor& x, Tensor& y) = 0;
  virtual void softmax_backward(Stream&, const Tensor& y, const Tensor& dy, Tensor& dx) = 0;
  virtual void log_softmax_forward(Stream&, const Tensor& x, Tensor& y) = 0;
  virtual void log_softmax_backward(Stream&, const Tensor& y, const Tensor& dy, Tensor& dx) = 0;
  virtual void argmax(Stream&, const Tensor& x, Tensor& index) = 0;  // (N, C) -> int64 (N), first
  // x (..., K · C) as K pieces of C channels, one behind the other; y (..., C) is the largest of
  // the K, piece (uint8, y's shape) which one: the first of equals. K is at most 255.
  virtual void maxout_forward(Stream&, std::int64_t pieces, const Tensor& x, Tensor& y,
                              Tensor& piece) = 0;
  virtual void maxout_backward(Stream&, std::int64_t pieces, const Tensor& dy, const Tensor& piece,
                               Tensor& dx) = 0;
  // Columns [first, first + c) of the wide tensor (..., C) and the narrow one (..., c).
  virtual void write_columns(Stream&, std::int64_t first, const Tensor& narrow, Tensor& wide) = 0;
  virtual void read_columns(Stream&, std::int64_t first, const Tensor& wide, Tensor& narrow) = 0;
  // ---- layer norm over the last axis: y = (x - mean) inv_std gamma + beta, with the biased
  // variance. gamma, beta (C); saved_mean, saved_inv_std: one value a vector of the last axis.
  // dx undefined: it is not wanted.
  virtual void layer_norm_forward(Stream&, const LayerNormOptions&, const Tensor& x,
                                  const Tensor& gamma, const Tensor& beta, Tensor& y,
                                  Tensor& saved_mean, Tensor& saved_inv_std) = 0;
  virtual void layer_norm_backward(Stream&, const Tensor& x, const Tensor& dy, const Tensor& gamma,
                                   const Tensor& saved_mean, const Tensor& saved_inv_std,
                                   Tensor& dgamma, Tensor& dbeta, Tensor& dx) = 0;

  // x (..., K) -> y (..., 1) or (...): the product of the K. Quadratic: y = a x² + b x + c element
  // by element; a, b, c one number each; dx may be undefined.
  virtual void product_forward(Stream&, const Tensor& x, Tensor& y) = 0;
  virtual void product_backward(Stream&, const Tensor& x, const Tensor& dy, Tensor& dx) = 0;
  virtual void quadratic_forward(Stream&, const Tensor& x, const Tensor& a, const Tensor& b,
                                 const Tensor& c, Tensor& y) = 0;
  virtual void quadratic_backward(Stream&, const Tensor& x, const Tensor& dy, const Tensor& a,
                                  const Tensor& b, Tensor& da, Tensor& db, Tensor& dc,
                                  Tensor& dx) = 0;

  // ---- batch norm over all axes but the last. Biased variance normalises; stat_mean and stat_var
  // receive rows · mean and rows · unbiased variance, the leaves of the running statistics' tree,
  // where rows = x.rows(). One value a channel is an error that names batch and shards.
  virtual void batch_norm_forward(Stream&, const BatchNormOptions&, const Tensor& x,
                                  const Tensor& gamma, const Tensor& beta, Tensor& y,
                                  Tensor& saved_mean, Tensor& saved_inv_std, Tensor& stat_mean,
                                  Tensor& stat_var) = 0;
  virtual void batch_norm_inference(Stream&, const BatchNormOptions&, const Tensor& x,
                                    const Tensor& gamma, const Tensor& beta,
                                    const Tensor& running_mean, const Tensor& running_var,
                                    Tensor& y) = 0;
  virtual void batch_norm_backward(Stream&, const Tensor& x, const Tensor& dy, const Tensor& gamma,
                                   const Tensor& saved_mean, const Tensor& saved_inv_std,
                                   Tensor& dgamma, Tensor& dbeta, Tensor& dx) = 0;

  // ---- batch norm and what commonly follows it, without the tensors between: y =
  // relu(batch_norm(x) + residual), with the bits of the operations one by one. residual may be
  // undefined. mask: uint8 (..., relu_mask_bytes(C)), one bit an element: whether its gradient
  // passes. dresidual is dy where it passes; it may be undefined; it or dx may alias dy.
  virtual void batch_norm_relu_forward(Stream&, const BatchNormOptions&, const Tensor& x,
                                       const Tensor& gamma, const Tensor& beta,
                                       const Tensor& residual, Tensor& y, Tensor& mask,
                                       Tensor& saved_mean, Tensor& saved_inv_std, Tensor& stat_mean,
                                       Tensor& stat_var) = 0;
  virtual void batch_norm_relu_inference(Stream&, const BatchNormOptions&, const Tensor& x,
                                         const Tensor& gamma, const Tensor& beta,
                                         const Tensor& running_mean, const Tensor& running_var,
                                         const Tensor& residual, Tensor& y) = 0;
  virtual void batch_norm_relu_backward(Stream&, const Tensor& x, const Tensor& dy,
                                        const Tensor& mask, const Tensor& gamma,
                                        const Tensor& saved_mean, const Tensor& saved_inv_std,
                                        Tensor& dgamma, Tensor& dbeta, Tensor& dx,
                                        Tensor& dresidual) = 0;
  // y = max_pool(relu(batch_norm(x))), x images. The gradients' sums run over strips of rows, so
  // dgamma, dbeta and dx are rounded otherwise than by the operations one by one.
  virtual void batch_norm_relu_max_pool_forward(Stream&, const BatchNormOptions&,
                                                const PoolGeometry&, const Tensor& x,
                                                const Tensor& gamma, const Tensor& beta, Tensor& y,
                                                Tensor& argmax, Tensor& saved_mean,
                                                Tensor& saved_inv_std, Tensor& stat_mean,
                                                Tensor& stat_var) = 0;
  virtual void batch_norm_relu_max_pool_inference(Stream&, const BatchNormOptions&,
                                                  const PoolGeometry&, const Tensor& x,
                                                  const Tensor& gamma, const Tensor& beta,
                                                  const Tensor& running_mean,
                                                  const Tensor& running_var, Tensor& y) = 0;
  virtual void batch_norm_relu_max_pool_backward(Stream&, const PoolGeometry&, const Tensor& x,
                                                 const Tensor& y, const Tensor& dy,
                                                 const Tensor& argmax, const Tensor& gamma,
                                                 const Tensor& saved_mean,
                                                 const Tensor& saved_inv_std, Tensor& dgamma,
                                                 Tensor& dbeta, Tensor& dx) = 0;

  // ---- sequences: ids (N, T), tokens (N, T, C) or, with time first, (T, N, C)
  // y[i] = table[ids[i]]: ids int64 in any shape, table (V · C), y (ids..., C). An id outside the
  // table is an Error that names the sample (sample_ids: int64 (N), places in the split), the
  // position and the id.
  virtual void embedding_forward(Stream&, const Tensor& sample_ids, const Tensor& ids,
                                 const Tensor& table, Tensor& y) = 0;
  // dtable[v] = Σ dy over the places that hold v, in the order of the rows; 0 for v = padding (-1:
  // there is none).
  virtual void embedding_backward(Stream&, std::int64_t padding, const Tensor& ids,
                                  const Tensor& dy, Tensor& dtable) = 0;
  virtual void swap_rows(Stream&, const Tensor& x, Tensor& y) = 0;  // (A, B, ...) -> (B, A, ...)
  // y[n] = x[n] + row for every row n; y may alias x. The gradient of `row` is sum_rows(dy).
  virtual void add_row(Stream&, const Tensor& x, const Tensor& row, Tensor& y) = 0;
  virtual void sum_rows(Stream&, const Tensor& x, Tensor& row) = 0;
  // (N, T, C) to (N, C): the mean over the tokens whose id is not `padding`; zeros where all are.
  virtual void mean_tokens_forward(Stream&, std::int64_t padding, const Tensor& ids,
                                   const Tensor& x, Tensor& y) = 0;
  virtual void mean_tokens_backward(Stream&, std::int64_t padding, const Tensor& ids,
                                    const Tensor& dy, Tensor& dx) = 0;

  // ---- one step of recurrent layers, h and c (N, H), with torch.nn.LSTM's and GRU's formulas
  // gates_x = W_ih x + b_ih and gates_h = W_hh h + b_hh are (N, 4H) in the order i, f, g, o or
  // (N, 3H) in the order r, z, n; `gates` receives their activated values, for backward. gates may
  // alias gates_x; dgates and dgates_x may alias gates, dgates_h gates_h, and dc_before dc.
  // dgates, dgates_x, dgates_h are the gradients of gates_x and gates_h (an LSTM's are the same).
  virtual void lstm_cell_forward(Stream&, const Tensor& gates_x, const Tensor& gates_h,
                                 const Tensor& c_before, Tensor& gates, Tensor& c, Tensor& h) = 0;
  virtual void lstm_cell_backward(Stream&, const Tensor& gates, const Tensor& c_before,
                                  const Tensor& c, const Tensor& dh, const Tensor& dc,
                                  Tensor& dgates, Tensor& dc_before) = 0;
  virtual void gru_cell_forward(Stream&, const Tensor& gates_x, const Tensor& gates_h,
                                const Tensor& h_before, Tensor& gates, Tensor& h) = 0;
  // dh_before is the part that does not pass through gates_h.
  virtual void gru_cell_backward(Stream&, const Tensor& gates, const Tensor& gates_h,
                                 const Tensor& h_before, const Tensor& dh, Tensor& dgates_x,
                                 Tensor& dgates_h, Tensor& dh_before) = 0;

  // ---- attention within each sample (Vaswani et al. 2017): qkv (N, T, 3 · width) holds queries,
  // keys and values, each of them heads beside heads. probabilities (N, heads, T, T) =
  // softmax(q kᵀ / √head_width) is kept for backward; y (N, T, width). ids: int64 (N, T) where
  // there is padding, else undefined. A token that may attend to none gets zeros.
  virtual void attention_forward(Stream&, const AttentionGeometry&, const Tensor& qkv,
                                 const Tensor& ids, Tensor& probabilities, Tensor& y) = 0;
  virtual void attention_backward(Stream&, const AttentionGeometry&, const Tensor& qkv,
                                  const Tensor& probabilities, const Tensor& dy, Tensor& dqkv) = 0;

  // ---- losses, stable from logits. sums[0] = Σ weight · loss, sums[1] = Σ weight. The gradient
  // (undefined in evaluation) is that of sums[0]: the division by the global weight comes after
  // the tree. sample_weight float32 (N) and class_weight float32 (C) may be undefined.
  // target: int64 (N) classes or float32 (N, C) probabilities. A class weight scales the row's
  // weight for class targets (PyTorch's mean) and each class's term for probabilities.
  virtual void softmax_cross_entropy(Stream&, const CrossEntropyOptions&, const Tensor& logits,
                                     const Tensor& target, const Tensor& sample_weight,
                                     const Tensor& class_weight, Tensor& dlogits, Tensor& sums) = 0;
  // target (N, K) float32, or int64 (N) where K = 1; the loss of a row is the mean over K.
  virtual void binary_cross_entropy(Stream&, const Tensor& logits, const Tensor& target,
                                    const Tensor& sample_weight, Tensor& dlogits, Tensor& sums) = 0;
  virtual void mean_squared_error(Stream&, const Tensor& prediction, const Tensor& target,
                                  const Tensor& sample_weight, Tensor& dprediction,
                                  Tensor& sums) = 0;

  // |error|, whose gradient at 0 is 0; error² / 2 up to delta and delta (|error| - delta / 2)
  // beyond.
  virtual void mean_absolute_error(Stream&, const Tensor& prediction, const Tensor& target,
                                   const Tensor& sample_weight, Tensor& dprediction,
                                   Tensor& sums) = 0;
  virtual void huber(Stream&, const HuberOptions&, const Tensor& prediction, const Tensor& target,
                     const Tensor& sample_weight, Tensor& dprediction, Tensor& sums) = 0;
  // logits (N, C), target int64 (N): Σ over c ≠ t of max(0, 1 - x_t + x_c) / C, PyTorch's
  // multi_margin_loss; C = 1: max(0, 1 - x) for class 1, max(0, 1 + x) for class 0.
  virtual void hinge(Stream&, const HingeOptions&, const Tensor& logits, const Tensor& target,
                     const Tensor& sample_weight, Tensor& dlogits, Tensor& sums) = 0;

  // ---- metrics. sums[0] = rows whose class is among the k largest (ties: the lower index first),
  // sums[1] = rows counted (ignore_label not). K = 1: class 1 where the logit is > 0.
  virtual void top_k_correct(Stream&, std::int64_t k, std::int64_t ignore_label,
                             const Tensor& logits, const Tensor& target, Tensor& sums) = 0;
  // sums[0] = Σ over rows of the mean squared error of the row, sums[1] the same of |error|.
  virtual void regression_errors(Stream&, const Tensor& prediction, const Tensor& target,
                                 Tensor& sums) = 0;

  // ---- one step's reduction and update, on flat float32 slices
  // y = (tree sum of the nodes, in order) / divisor; y may alias any node. The nodes are aligned
  // subtrees that cover all leaves; they are joined as a binary counter joins them.
  virtual void tree_sum(Stream&, std::span<const TreeNode> nodes, float divisor, Tensor& y) = 0;
  // out[b] (float64) = Σ x² over block b of kBlockElements; the last block may be short. A value
  // that is not finite makes its block's sum not finite.
  virtual void squared_norms(Stream&, const Tensor& x, Tensor& out) = 0;
  virtual void scale(Stream&, float factor, Tensor& x) = 0;  // x *= factor (gradient clipping)
  virtual void clamp(Stream&, float limit, Tensor& x) = 0;   // each x to [-limit, limit]
  // gradient += l1 sign(value) + l2 value
  virtual void add_penalty(Stream&, const PenaltyOptions&, const Tensor& value,
                           Tensor& gradient) = 0;
  virtual void sgd(Stream&, const SgdOptions&, const Tensor& gradient, Tensor& value,
                   Tensor& momentum) = 0;  // momentum undefined where options.momentum is 0
  virtual void adam(Stream&, const AdamOptions&, const Tensor& gradient, Tensor& value, Tensor& m,
                    Tensor& v) = 0;
  // momentum undefined where options.momentum is 0, mean (of gradients) where it is not centered.
  virtual void rmsprop(Stream&, const RmspropOptions&, const Tensor& gradient, Tensor& value,
                       Tensor& square, Tensor& momentum, Tensor& mean) = 0;
  virtual void adagrad(Stream&, const AdagradOptions&, const Tensor& gradient, Tensor& value,
                       Tensor& sum) = 0;
  // value = (1 - momentum) · value + momentum · mean: the running statistics of batch norm.
  virtual void running_average(Stream&, float momentum, const Tensor& mean, Tensor& value) = 0;
};

}  // namespace lockstep
