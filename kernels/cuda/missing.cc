// Operations that have no CUDA kernel yet. Each leaves this file when it gets one; the file goes
// with the last of them.
#include "kernels/cuda/backend_impl.h"

namespace lockstep {

namespace {

[[noreturn]] void missing(const char* operation) {
  throw Error("{} has no CUDA kernel yet; run.device = \"cpu\" has it", operation);
}

}  // namespace

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

}  // namespace lockstep
