// The CUDA back end's class: a GPU's memory as a Device, its streams, and every operation of
// Backend. A group of operations has one file beside this one, NAME.cu: its kernels, and the
// members that check the tensors and launch them. What touches the CUDA runtime stands behind
// gpu.h, what NVIDIA's libraries compute behind libraries.h, so that the tests can play both on a
// CPU.
#pragma once

#include "kernels/core/step_record.h"
#include "kernels/cuda/arena.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/libraries.h"

namespace lockstep {

class CudaBackend final : public Backend, public StepRecordMaker {
 public:
  CudaBackend(const CudaDevice& device, std::unique_ptr<gpu::Libraries> libraries,
              DType activation_type);
  // A rehearsal of the other; see GpuLibrary.
  explicit CudaBackend(const CudaBackend& other);

  // ---- device
  std::string description() const override;
  bool memory_is_host() const override { return gpu::memory_is_host(); }
  Tensor empty(const Shape& shape, DType type) override;
  Tensor zeros(const Shape& shape, DType type) override;
  Tensor empty_pinned(const Shape& shape, DType type) override;
  void copy(const Tensor& from, Tensor& to) override;
  void copy_async(Stream& stream, const Tensor& from, Tensor& to) override;
  std::shared_ptr<void> pin(std::span<std::byte> memory) override;
  Tensor to_host(const Tensor& tensor) override;
  Tensor upload(Stream& stream, const Tensor& host) override;
  std::unique_ptr<Stream> make_stream(int index) override;
  std::unique_ptr<Stream> make_urgent_stream() override;
  std::unique_ptr<StepRecord> make_step_record(std::int64_t shards, std::int64_t blocks) override;

  std::string_view isa() const override;
  gpu::PlanBook& plans() { return libraries_->plans(); }
  gpu::Arena& arena() { return *arena_; }
  DType activation_type() const override { return activation_type_; }
  bool packs_alike() const override { return true; }

  // ---- order of parameters
  void from_file_order(const ParamLayout& layout, const Shape& file_shape,
                       const Tensor& file_values, Tensor& value) override;
  void to_file_order(const ParamLayout& layout, const Shape& file_shape, const Tensor& value,
                     Tensor& file_values) override;

  // ---- linear
  std::int64_t linear_packed_elements(const LinearGeometry&, bool data_gradient) override;
  void linear_pack(Stream&, const LinearGeometry&, bool data_gradient, const Tensor& w,
                   Tensor& packed) override;
  void linear_forward(Stream&, const LinearGeometry&, const Tensor& x, const Tensor& w,
                      const Tensor& packed, const Tensor& bias, Tensor& y) override;
  void linear_inference(Stream&, const LinearGeometry&, const Tensor& x, const Tensor& w,
                        const Tensor& packed, const Tensor& bias, const Epilogue&,
                        Tensor& y) override;
  void linear_backward_data(Stream&, const LinearGeometry&, const Tensor& dy, const Tensor& w,
                            const Tensor& packed, Tensor& dx) override;
  void linear_backward_weights(Stream&, const LinearGeometry&, const Tensor& x, const Tensor& dy,
                               Tensor& dw, Tensor& dbias) override;

  // ---- convolution
  std::int64_t conv_packed_elements(const ConvGeometry&, bool data_gradient) override;
  void conv_pack(Stream&, const ConvGeometry&, bool data_gradient, const Tensor& w,
                 Tensor& packed) override;
  void conv_forward(Stream&, const ConvGeometry&, const Tensor& x, const Tensor& w,
                    const Tensor& packed, const Tensor& bias, Tensor& y) override;
  void conv_inference(Stream&, const ConvGeometry&, const Tensor& x, const Tensor& w,
                      const Tensor& packed, const Tensor& bias, const Epilogue&,
                      Tensor& y) override;
  void conv_backward_data(Stream&, const ConvGeometry&, const Tensor& dy, const Tensor& w,
                          const Tensor& packed, bool add, Tensor& dx) override;
  bool conv_adds_gradient(const ConvGeometry&, std::int64_t images) override;
  void conv_backward_weights(Stream&, const ConvGeometry&, const Tensor& x, const Tensor& dy,
                             bool add, Tensor& dw, Tensor& dbias) override;

  // ---- pooling
  void max_pool_forward(Stream&, const PoolGeometry&, const Tensor& x, Tensor& y,
                        Tensor& argmax) override;
  void max_pool_backward(Stream&, const PoolGeometry&, const Tensor& dy, const Tensor& argmax,
                         Tensor& dx) override;
  void avg_pool_forward(Stream&, const PoolGeometry&, const Tensor& x, Tensor& y) override;
  void avg_pool_backward(Stream&, const PoolGeometry&, const Tensor& dy, Tensor& dx) override;
  void global_avg_pool_forward(Stream&, const Tensor& x, Tensor& y) override;
  void global_avg_pool_backward(Stream&, const Tensor& dy, Tensor& dx) override;
  void adaptive_max_pool_forward(Stream&, const AdaptivePoolGeometry&, const Tensor& x, Tensor& y,
                                 Tensor& place) override;
  void adaptive_max_pool_backward(Stream&, const AdaptivePoolGeometry&, const Tensor& dy,
                                  const Tensor& place, Tensor& dx) override;
  void adaptive_avg_pool_forward(Stream&, const AdaptivePoolGeometry&, const Tensor& x,
                                 Tensor& y) override;
  void adaptive_avg_pool_backward(Stream&, const AdaptivePoolGeometry&, const Tensor& dy,
                                  Tensor& dx) override;

  // ---- element by element
  void activation_forward(Stream&, Activation, const Tensor& x, Tensor& y) override;
  void activation_backward(Stream&, Activation, const Tensor& kept, const Tensor& dy,
                           Tensor& dx) override;
  void add(Stream&, const Tensor& a, const Tensor& b, Tensor& y) override;
  void convert(Stream&, const Tensor& x, Tensor& y) override;
  void scale_channels(Stream&, const Tensor& x, const Tensor& factor, const Tensor& shift,
                      Tensor& y) override;
  void scale_channels_backward(Stream&, const Tensor& x, const Tensor& dy,
                               Tensor& dfactor) override;
  void fill(Stream&, float value, Tensor& y) override;
  void dropout(Stream&, const DropoutOptions&, const Tensor& sample_ids, const Tensor& x,
               Tensor& y) override;
  void drop_samples(Stream&, const DropoutOptions&, const Tensor& sample_ids, const Tensor& x,
                    Tensor& y) override;
  void scale_shift(Stream&, const Tensor& x, const Tensor& scale, const Tensor& shift,
                   Tensor& y) override;

  // ---- over the last axis
  void softmax_forward(Stream&, const Tensor& x, Tensor& y) override;
  void softmax_backward(Stream&, const Tensor& y, const Tensor& dy, Tensor& dx) override;
  void log_softmax_forward(Stream&, const Tensor& x, Tensor& y) override;
  void log_softmax_backward(Stream&, const Tensor& y, const Tensor& dy, Tensor& dx) override;
  void argmax(Stream&, const Tensor& x, Tensor& index) override;
  void maxout_forward(Stream&, std::int64_t pieces, const Tensor& x, Tensor& y,
                      Tensor& piece) override;
  void maxout_backward(Stream&, std::int64_t pieces, const Tensor& dy, const Tensor& piece,
                       Tensor& dx) override;
  void write_columns(Stream&, std::int64_t first, const Tensor& narrow, Tensor& wide) override;
  void read_columns(Stream&, std::int64_t first, const Tensor& wide, Tensor& narrow) override;
  void layer_norm_forward(Stream&, const LayerNormOptions&, const Tensor& x, const Tensor& gamma,
                          const Tensor& beta, Tensor& y, Tensor& saved_mean,
                          Tensor& saved_inv_std) override;
  void layer_norm_backward(Stream&, const Tensor& x, const Tensor& dy, const Tensor& gamma,
                           const Tensor& saved_mean, const Tensor& saved_inv_std, Tensor& dgamma,
                           Tensor& dbeta, Tensor& dx) override;

  void product_forward(Stream&, const Tensor& x, Tensor& y) override;
  void product_backward(Stream&, const Tensor& x, const Tensor& dy, Tensor& dx) override;
  void quadratic_forward(Stream&, const Tensor& x, const Tensor& a, const Tensor& b,
                         const Tensor& c, Tensor& y) override;
  void quadratic_backward(Stream&, const Tensor& x, const Tensor& dy, const Tensor& a,
                          const Tensor& b, Tensor& da, Tensor& db, Tensor& dc, Tensor& dx) override;

  // ---- batch norm over all axes but the last
  void batch_norm_forward(Stream&, const BatchNormOptions&, const Tensor& x, const Tensor& gamma,
                          const Tensor& beta, Tensor& y, Tensor& saved_mean, Tensor& saved_inv_std,
                          Tensor& stat_mean, Tensor& stat_var) override;
  void batch_norm_inference(Stream&, const BatchNormOptions&, const Tensor& x, const Tensor& gamma,
                            const Tensor& beta, const Tensor& running_mean,
                            const Tensor& running_var, Tensor& y) override;
  void batch_norm_backward(Stream&, const Tensor& x, const Tensor& dy, const Tensor& gamma,
                           const Tensor& saved_mean, const Tensor& saved_inv_std, Tensor& dgamma,
                           Tensor& dbeta, Tensor& dx) override;
  void batch_norm_relu_forward(Stream&, const BatchNormOptions&, const Tensor& x,
                               const Tensor& gamma, const Tensor& beta, const Tensor& residual,
                               Tensor& y, Tensor& mask, Tensor& saved_mean, Tensor& saved_inv_std,
                               Tensor& stat_mean, Tensor& stat_var) override;
  void batch_norm_relu_inference(Stream&, const BatchNormOptions&, const Tensor& x,
                                 const Tensor& gamma, const Tensor& beta,
                                 const Tensor& running_mean, const Tensor& running_var,
                                 const Tensor& residual, Tensor& y) override;
  void batch_norm_relu_backward(Stream&, const Tensor& x, const Tensor& dy, const Tensor& mask,
                                const Tensor& gamma, const Tensor& saved_mean,
                                const Tensor& saved_inv_std, Tensor& dgamma, Tensor& dbeta,
                                Tensor& dx, Tensor& dresidual) override;
  void batch_norm_relu_max_pool_forward(Stream&, const BatchNormOptions&, const PoolGeometry&,
                                        const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                        Tensor& y, Tensor& argmax, Tensor& saved_mean,
                                        Tensor& saved_inv_std, Tensor& stat_mean,
                                        Tensor& stat_var) override;
  void batch_norm_relu_max_pool_inference(Stream&, const BatchNormOptions&, const PoolGeometry&,
                                          const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                          const Tensor& running_mean, const Tensor& running_var,
                                          Tensor& y) override;
  void batch_norm_relu_max_pool_backward(Stream&, const PoolGeometry&, const Tensor& x,
                                         const Tensor& y, const Tensor& dy, const Tensor& argmax,
                                         const Tensor& gamma, const Tensor& saved_mean,
                                         const Tensor& saved_inv_std, Tensor& dgamma, Tensor& dbeta,
                                         Tensor& dx) override;

  // ---- sequences
  void embedding_forward(Stream&, const Tensor& sample_ids, const Tensor& ids, const Tensor& table,
                         Tensor& y) override;
  void embedding_backward(Stream&, std::int64_t padding, const Tensor& ids, const Tensor& dy,
                          Tensor& dtable) override;
  void swap_rows(Stream&, const Tensor& x, Tensor& y) override;
  void add_row(Stream&, const Tensor& x, const Tensor& row, Tensor& y) override;
  void sum_rows(Stream&, const Tensor& x, Tensor& row) override;
  void mean_tokens_forward(Stream&, std::int64_t padding, const Tensor& ids, const Tensor& x,
                           Tensor& y) override;
  void mean_tokens_backward(Stream&, std::int64_t padding, const Tensor& ids, const Tensor& dy,
                            Tensor& dx) override;
  void lstm_cell_forward(Stream&, const Tensor& gates_x, const Tensor& gates_h,
                         const Tensor& c_before, Tensor& gates, Tensor& c, Tensor& h) override;
  void lstm_cell_backward(Stream&, const Tensor& gates, const Tensor& c_before, const Tensor& c,
                          const Tensor& dh, const Tensor& dc, Tensor& dgates,
                          Tensor& dc_before) override;
  void gru_cell_forward(Stream&, const Tensor& gates_x, const Tensor& gates_h,
                        const Tensor& h_before, Tensor& gates, Tensor& h) override;
  void gru_cell_backward(Stream&, const Tensor& gates, const Tensor& gates_h,
                         const Tensor& h_before, const Tensor& dh, Tensor& dgates_x,
                         Tensor& dgates_h, Tensor& dh_before) override;
  void attention_forward(Stream&, const AttentionGeometry&, const Tensor& qkv, const Tensor& ids,
                         Tensor& probabilities, Tensor& y) override;
  void attention_backward(Stream&, const AttentionGeometry&, const Tensor& qkv,
                          const Tensor& probabilities, const Tensor& dy, Tensor& dqkv) override;

  // ---- losses
  void softmax_cross_entropy(Stream&, const CrossEntropyOptions&, const Tensor& logits,
                             const Tensor& target, const Tensor& sample_weight,
                             const Tensor& class_weight, Tensor& dlogits, Tensor& sums) override;
  void binary_cross_entropy(Stream&, const Tensor& logits, const Tensor& target,
                            const Tensor& sample_weight, Tensor& dlogits, Tensor& sums) override;
  void mean_squared_error(Stream&, const Tensor& prediction, const Tensor& target,
                          const Tensor& sample_weight, Tensor& dprediction, Tensor& sums) override;
  void mean_absolute_error(Stream&, const Tensor& prediction, const Tensor& target,
                           const Tensor& sample_weight, Tensor& dprediction, Tensor& sums) override;
  void huber(Stream&, const HuberOptions&, const Tensor& prediction, const Tensor& target,
             const Tensor& sample_weight, Tensor& dprediction, Tensor& sums) override;
  void hinge(Stream&, const HingeOptions&, const Tensor& logits, const Tensor& target,
             const Tensor& sample_weight, Tensor& dlogits, Tensor& sums) override;

  // ---- metrics
  void top_k_correct(Stream&, std::int64_t k, std::int64_t ignore_label, const Tensor& logits,
                     const Tensor& target, Tensor& sums) override;
  void regression_errors(Stream&, const Tensor& prediction, const Tensor& target,
                         Tensor& sums) override;

  // ---- one step's reduction and update
  void tree_sum(Stream&, std::span<const TreeNode> nodes, float divisor, Tensor& y) override;
  void squared_norms(Stream&, const Tensor& x, Tensor& out) override;
  void scale(Stream&, float factor, Tensor& x) override;
  void clamp(Stream&, float limit, Tensor& x) override;
  void add_penalty(Stream&, const PenaltyOptions&, const Tensor& value, Tensor& gradient) override;
  void sgd(Stream&, const SgdOptions&, const Tensor& gradient, Tensor& value,
           Tensor& momentum) override;
  void adam(Stream&, const AdamOptions&, const Tensor& gradient, Tensor& value, Tensor& m,
            Tensor& v) override;
  void rmsprop(Stream&, const RmspropOptions&, const Tensor& gradient, Tensor& value,
               Tensor& square, Tensor& momentum, Tensor& mean) override;
  void adagrad(Stream&, const AdagradOptions&, const Tensor& gradient, Tensor& value,
               Tensor& sum) override;
  void running_average(Stream&, float momentum, const Tensor& mean, Tensor& value) override;

 private:
  void follow(Stream& stream, const Epilogue& epilogue, Tensor& y);
  void linear_product(Stream&, const LinearGeometry&, const Tensor& x, const Tensor& w,
                      const Tensor& packed, const Tensor& bias, gpu::ProductActivation, Tensor& y);

  CudaDevice device_;
  std::string isa_;
  const bool rehearses_ = false;
  std::shared_ptr<gpu::Libraries> libraries_;
  DType activation_type_;
  std::shared_ptr<gpu::Arena> arena_;
};

}  // namespace lockstep
