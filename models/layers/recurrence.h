// Recurrence: one recurrent layer over sequences with time first, (T, N, C) -> (T, N, H), in one
// direction: what Recurrent stacks. Its rows vary from shard to shard; its buffers hold the most.
#pragma once

#include "models/layers/projection.h"

namespace lockstep {

enum class RecurrentKind { kRnnTanh, kRnnRelu, kLstm, kGru };

struct RecurrenceOptions {
  RecurrentKind kind = RecurrentKind::kLstm;
  std::int64_t hidden = 0;
  bool bias = true;
  bool reverse = false;  // from the last token to the first
};

// The constants of ONNX's operators, gates in their order.
struct OnnxRecurrence {
  std::int64_t gate_columns = 0;
  std::vector<float> w, r, b;  // b empty: no biases
};

class Recurrence {
 public:
  explicit Recurrence(const RecurrenceOptions& options) : options_(options) {}

  // Parameters are called "weight_ih" + suffix and so on, as torch.nn.LSTM's with "_l0".
  void build(Build& build, const Shape& in, const std::string& suffix, bool data_gradient);

  // x (T, N, C) -> h (T, N, H), this object's own tensor; both must stay until backward.
  Tensor forward(const Pass& pass, const Tensor& x);
  // h (N, H) after the last step.
  Tensor last() const;
  // dy is the gradient of all h (T, N, H), or of last() alone, (N, H). Gradients of the parameters,
  // which are reported after backward_data.
  void backward(const Pass& pass, const Tensor& dy);
  void backward_data(const Pass& pass, Tensor& dx);  // dx (T, N, C), after backward
  void ready(const Pass& pass) const;

  void append_onnx(OnnxExport& onnx, OnnxRecurrence& parts) const;

  std::int64_t parameters() const;
  std::int64_t multiply_adds() const;  // a token

 private:
  // Places of a sequence's states in buffers of T + 1: the zeros before the first step stand before
  // the first token, or behind the last one where the direction is reversed.
  std::int64_t token(std::int64_t step) const {
    return options_.reverse ? tokens_ - 1 - step : step;
  }
  std::int64_t place_before(std::int64_t t) const { return options_.reverse ? t + 1 : t; }
  std::int64_t place_after(std::int64_t t) const { return options_.reverse ? t : t + 1; }
  std::int64_t gate_columns() const;
  Activation activation() const;  // of plain ones

  // `count` blocks of (rows, width) at the start of a buffer, as (count, rows, width).
  Tensor blocks(const Tensor& buffer, std::int64_t count) const;
  void step_forward(const Pass& pass, std::int64_t t);
  // dh (N, H) of the state after token t; leaves the gradient of the state before it in dh_.
  void step_backward(const Pass& pass, std::int64_t t, const Tensor& dh, bool first);

  RecurrenceOptions options_;
  std::int64_t tokens_ = 0, rows_ = 0;
  Projection input_, hidden_;
  Tensor h_, c_;              // (T + 1 blocks); c_ of an LSTM alone
  Tensor gates_x_, gates_h_;  // T blocks and, but for a GRU, one; gradients overwrite them
  Tensor dh_, dc_, dh_skip_;  // one block; dh_skip_ of a GRU alone
  Tensor x_;
};

}  // namespace lockstep
