// Operations that have no CUDA kernel yet. Each leaves this file when it gets one; the file goes
// with the last of them.
#include "kernels/cuda/backend_impl.h"

namespace lockstep {

namespace {

[[noreturn]] void missing(const char* operation) {
  throw Error("{} has no CUDA kernel yet; run.device = \"cpu\" has it", operation);
}

}  // namespace

void CudaBackend::scale_channels(Stream&, const Tensor&, const Tensor&, const Tensor&, Tensor&) {
  missing("scale_channels");
}

void CudaBackend::scale_channels_backward(Stream&, const Tensor&, const Tensor&, Tensor&) {
  missing("scale_channels_backward");
}

void CudaBackend::dropout(Stream&, const DropoutOptions&, const Tensor&, const Tensor&, Tensor&) {
  missing("dropout");
}

void CudaBackend::drop_samples(Stream&, const DropoutOptions&, const Tensor&, const Tensor&,
                               Tensor&) {
  missing("drop_samples");
}

void CudaBackend::scale_shift(Stream&, const Tensor&, const Tensor&, const Tensor&, Tensor&) {
  missing("scale_shift");
}

void CudaBackend::softmax_forward(Stream&, const Tensor&, Tensor&) {
  missing("softmax_forward");
}

void CudaBackend::softmax_backward(Stream&, const Tensor&, const Tensor&, Tensor&) {
  missing("softmax_backward");
}

void CudaBackend::log_softmax_forward(Stream&, const Tensor&, Tensor&) {
  missing("log_softmax_forward");
}

void CudaBackend::log_softmax_backward(Stream&, const Tensor&, const Tensor&, Tensor&) {
  missing("log_softmax_backward");
}

void CudaBackend::argmax(Stream&, const Tensor&, Tensor&) {
  missing("argmax");
}

void CudaBackend::maxout_forward(Stream&, std::int64_t, const Tensor&, Tensor&, Tensor&) {
  missing("maxout_forward");
}

void CudaBackend::maxout_backward(Stream&, std::int64_t, const Tensor&, const Tensor&, Tensor&) {
  missing("maxout_backward");
}

void CudaBackend::write_columns(Stream&, std::int64_t, const Tensor&, Tensor&) {
  missing("write_columns");
}

void CudaBackend::read_columns(Stream&, std::int64_t, const Tensor&, Tensor&) {
  missing("read_columns");
}

void CudaBackend::layer_norm_forward(Stream&, const LayerNormOptions&, const Tensor&, const Tensor&,
                                     const Tensor&, Tensor&, Tensor&, Tensor&) {
  missing("layer_norm_forward");
}

void CudaBackend::layer_norm_backward(Stream&, const Tensor&, const Tensor&, const Tensor&,
                                      const Tensor&, const Tensor&, Tensor&, Tensor&, Tensor&) {
  missing("layer_norm_backward");
}

void CudaBackend::product_forward(Stream&, const Tensor&, Tensor&) {
  missing("product_forward");
}

void CudaBackend::product_backward(Stream&, const Tensor&, const Tensor&, Tensor&) {
  missing("product_backward");
}

void CudaBackend::quadratic_forward(Stream&, const Tensor&, const Tensor&, const Tensor&,
                                    const Tensor&, Tensor&) {
  missing("quadratic_forward");
}

void CudaBackend::quadratic_backward(Stream&, const Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&, Tensor&, Tensor&, Tensor&, Tensor&) {
  missing("quadratic_backward");
}

void CudaBackend::embedding_forward(Stream&, const Tensor&, const Tensor&, const Tensor&, Tensor&) {
  missing("embedding_forward");
}

void CudaBackend::embedding_backward(Stream&, std::int64_t, const Tensor&, const Tensor&, Tensor&) {
  missing("embedding_backward");
}

void CudaBackend::swap_rows(Stream&, const Tensor&, Tensor&) {
  missing("swap_rows");
}

void CudaBackend::add_row(Stream&, const Tensor&, const Tensor&, Tensor&) {
  missing("add_row");
}

void CudaBackend::sum_rows(Stream&, const Tensor&, Tensor&) {
  missing("sum_rows");
}

void CudaBackend::mean_tokens_forward(Stream&, std::int64_t, const Tensor&, const Tensor&,
                                      Tensor&) {
  missing("mean_tokens_forward");
}

void CudaBackend::mean_tokens_backward(Stream&, std::int64_t, const Tensor&, const Tensor&,
                                       Tensor&) {
  missing("mean_tokens_backward");
}

void CudaBackend::lstm_cell_forward(Stream&, const Tensor&, const Tensor&, const Tensor&, Tensor&,
                                    Tensor&, Tensor&) {
  missing("lstm_cell_forward");
}

void CudaBackend::lstm_cell_backward(Stream&, const Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&, const Tensor&, Tensor&, Tensor&) {
  missing("lstm_cell_backward");
}

void CudaBackend::gru_cell_forward(Stream&, const Tensor&, const Tensor&, const Tensor&, Tensor&,
                                   Tensor&) {
  missing("gru_cell_forward");
}

void CudaBackend::gru_cell_backward(Stream&, const Tensor&, const Tensor&, const Tensor&,
                                    const Tensor&, Tensor&, Tensor&, Tensor&) {
  missing("gru_cell_backward");
}

void CudaBackend::attention_forward(Stream&, const AttentionGeometry&, const Tensor&, const Tensor&,
                                    Tensor&, Tensor&) {
  missing("attention_forward");
}

void CudaBackend::attention_backward(Stream&, const AttentionGeometry&, const Tensor&,
                                     const Tensor&, const Tensor&, Tensor&) {
  missing("attention_backward");
}

void CudaBackend::softmax_cross_entropy(Stream&, const CrossEntropyOptions&, const Tensor&,
                                        const Tensor&, const Tensor&, const Tensor&, Tensor&,
                                        Tensor&) {
  missing("softmax_cross_entropy");
}

void CudaBackend::binary_cross_entropy(Stream&, const Tensor&, const Tensor&, const Tensor&,
                                       Tensor&, Tensor&) {
  missing("binary_cross_entropy");
}

void CudaBackend::mean_squared_error(Stream&, const Tensor&, const Tensor&, const Tensor&, Tensor&,
                                     Tensor&) {
  missing("mean_squared_error");
}

void CudaBackend::mean_absolute_error(Stream&, const Tensor&, const Tensor&, const Tensor&, Tensor&,
                                      Tensor&) {
  missing("mean_absolute_error");
}

void CudaBackend::huber(Stream&, const HuberOptions&, const Tensor&, const Tensor&, const Tensor&,
                        Tensor&, Tensor&) {
  missing("huber");
}

void CudaBackend::hinge(Stream&, const HingeOptions&, const Tensor&, const Tensor&, const Tensor&,
                        Tensor&, Tensor&) {
  missing("hinge");
}

void CudaBackend::top_k_correct(Stream&, std::int64_t, std::int64_t, const Tensor&, const Tensor&,
                                Tensor&) {
  missing("top_k_correct");
}

void CudaBackend::regression_errors(Stream&, const Tensor&, const Tensor&, Tensor&) {
  missing("regression_errors");
}

void CudaBackend::tree_sum(Stream&, std::span<const TreeNode>, float, Tensor&) {
  missing("tree_sum");
}

void CudaBackend::squared_norms(Stream&, const Tensor&, Tensor&) {
  missing("squared_norms");
}

void CudaBackend::add_penalty(Stream&, const PenaltyOptions&, const Tensor&, Tensor&) {
  missing("add_penalty");
}

void CudaBackend::sgd(Stream&, const SgdOptions&, const Tensor&, Tensor&, Tensor&) {
  missing("sgd");
}

void CudaBackend::adam(Stream&, const AdamOptions&, const Tensor&, Tensor&, Tensor&, Tensor&) {
  missing("adam");
}

void CudaBackend::rmsprop(Stream&, const RmspropOptions&, const Tensor&, Tensor&, Tensor&, Tensor&,
                          Tensor&) {
  missing("rmsprop");
}

void CudaBackend::adagrad(Stream&, const AdagradOptions&, const Tensor&, Tensor&, Tensor&) {
  missing("adagrad");
}

void CudaBackend::running_average(Stream&, float, const Tensor&, Tensor&) {
  missing("running_average");
}

}  // namespace lockstep
