#include "models/layers/recurrence.h"

#include "runtime/step/onnx_export.h"

namespace lockstep {

std::int64_t Recurrence::gate_columns() const {
  switch (options_.kind) {
    case RecurrentKind::kLstm:
      return 4 * options_.hidden;
    case RecurrentKind::kGru:
      return 3 * options_.hidden;
    default:
      return options_.hidden;
  }
}

void Recurrence::build(Build& build, const Shape& in, const std::string& suffix,
                       bool data_gradient) {
  const std::int64_t hidden = options_.hidden, gates = gate_columns();
  const bool gru = options_.kind == RecurrentKind::kGru;
  tokens_ = in[0];
  ProjectionOptions projection;
  projection.in = in[1];
  projection.out = gates;
  projection.weight = "weight_ih" + suffix;
  projection.bias = options_.bias ? "bias_ih" + suffix : "";
  // torch.nn.RNNBase: U(-1/√hidden, 1/√hidden) for all of them.
  projection.weight_values = projection.bias_values = torch_default_weight(hidden);
  input_.build(build, projection, data_gradient);
  projection.in = hidden;
  projection.weight = "weight_hh" + suffix;
  projection.bias = options_.bias ? "bias_hh" + suffix : "";
  hidden_.build(build, projection, true);

  h_ = build.buffer({tokens_ + 1, hidden});
  gates_x_ = build.buffer({tokens_, gates});
  gates_h_ = build.buffer({gru ? tokens_ : 1, gates});
  dh_ = build.buffer({1, hidden});
  if (gru) dh_skip_ = build.buffer({1, hidden});
  if (options_.kind != RecurrentKind::kLstm) return;
  // The cell's state adds up over all steps: never narrower than that.
  c_ = build.buffer({tokens_ + 1, hidden}, DType::kFloat32);
  dc_ = build.buffer({1, hidden}, DType::kFloat32);
}

Tensor Recurrence::blocks(const Tensor& buffer, std::int64_t count) const {
  const std::int64_t width = buffer.shape().back();
  return buffer.view({buffer.elements() / width, width})
      .head(count * rows_)
      .view({count, rows_, width});
}

namespace {

// Block i of (count, rows, width), as (rows, width).
Tensor block(const Tensor& blocks, std::int64_t i) {
  return blocks.slice(i, i + 1).view(blocks.shape().without_rows());
}

}  // namespace

Tensor Recurrence::forward(const Pass& pass, const Tensor& x) {
  x_ = x;
  rows_ = x.shape()[1];
  Tensor gates = blocks(gates_x_, tokens_);
  input_.forward(pass, x, gates);
  const std::int64_t start = place_before(token(0));
  Tensor zero = block(blocks(h_, tokens_ + 1), start);
  pass.backend.fill(pass.stream, 0.0f, zero);
  if (c_) {
    zero = block(blocks(c_, tokens_ + 1), start);
    pass.backend.fill(pass.stream, 0.0f, zero);
  }
  for (std::int64_t step = 0; step < tokens_; ++step) step_forward(pass, token(step));
  const std::int64_t first = place_after(options_.reverse ? token(tokens_ - 1) : token(0));
  return blocks(h_, tokens_ + 1).slice(first, first + tokens_);
}

void Recurrence::step_forward(const Pass& pass, std::int64_t t) {
  const Tensor states = blocks(h_, tokens_ + 1);
  const Tensor before = block(states, place_before(t));
  Tensor after = block(states, place_after(t));
  Tensor gates = block(blocks(gates_x_, tokens_), t);
  const bool gru = options_.kind == RecurrentKind::kGru;
  Tensor gates_h = gru ? block(blocks(gates_h_, tokens_), t) : block(blocks(gates_h_, 1), 0);
  hidden_.forward(pass, before, gates_h);
  switch (options_.kind) {
    case RecurrentKind::kLstm: {
      const Tensor cells = blocks(c_, tokens_ + 1);
      Tensor cell = block(cells, place_after(t));
      pass.backend.lstm_cell_forward(pass.stream, gates, gates_h, block(cells, place_before(t)),
                                     gates, cell, after);
      return;
    }
    case RecurrentKind::kGru:
      pass.backend.gru_cell_forward(pass.stream, gates, gates_h, before, gates, after);
      return;
    case RecurrentKind::kRnnTanh:
    case RecurrentKind::kRnnRelu:
      pass.backend.add(pass.stream, gates, gates_h, after);
      pass.backend.activation_forward(pass.stream, activation(), after, after);
      return;
  }
}

Tensor Recurrence::last() const {
  return block(blocks(h_, tokens_ + 1), place_after(token(tokens_ - 1)));
}

void Recurrence::backward(const Pass& pass, const Tensor& dy) {
  const bool of_all = dy.shape().rank() == 3;
  for (std::int64_t step = tokens_; step-- > 0;) {
    const std::int64_t t = token(step);
    const bool first = step == tokens_ - 1;  // in backward's order
    if (first) {
      step_backward(pass, t, of_all ? block(dy, t) : dy, first);
      continue;
    }
    Tensor dh = block(blocks(dh_, 1), 0);
    if (of_all) pass.backend.add(pass.stream, dh, block(dy, t), dh);
    step_backward(pass, t, dh, first);
  }
  const bool gru = options_.kind == RecurrentKind::kGru;
  const std::int64_t start = options_.reverse ? 1 : 0;
  hidden_.backward_weights(pass, blocks(h_, tokens_ + 1).slice(start, start + tokens_),
                           blocks(gru ? gates_h_ : gates_x_, tokens_));
  input_.backward_weights(pass, x_, blocks(gates_x_, tokens_));
}

void Recurrence::step_backward(const Pass& pass, std::int64_t t, const Tensor& dh, bool first) {
  const Tensor states = blocks(h_, tokens_ + 1);
  Tensor gates = block(blocks(gates_x_, tokens_), t);
  Tensor before = block(blocks(dh_, 1), 0);
  switch (options_.kind) {
    case RecurrentKind::kLstm: {
      const Tensor cells = blocks(c_, tokens_ + 1);
      Tensor dc = block(blocks(dc_, 1), 0);
      if (first) pass.backend.fill(pass.stream, 0.0f, dc);
      pass.backend.lstm_cell_backward(pass.stream, gates, block(cells, place_before(t)),
                                      block(cells, place_after(t)), dh, dc, gates, dc);
      hidden_.backward_data(pass, gates, before);
      return;
    }
    case RecurrentKind::kGru: {
      Tensor gates_h = block(blocks(gates_h_, tokens_), t);
      Tensor skip = block(blocks(dh_skip_, 1), 0);
      pass.backend.gru_cell_backward(pass.stream, gates, gates_h, block(states, place_before(t)),
                                     dh, gates, gates_h, skip);
      hidden_.backward_data(pass, gates_h, before);
      pass.backend.add(pass.stream, before, skip, before);
      return;
    }
    case RecurrentKind::kRnnTanh:
    case RecurrentKind::kRnnRelu:
      pass.backend.activation_backward(pass.stream, activation(), block(states, place_after(t)), dh,
                                       gates);
      hidden_.backward_data(pass, gates, before);
      return;
  }
}

Activation Recurrence::activation() const {
  return options_.kind == RecurrentKind::kRnnRelu ? Activation::kRelu : Activation::kTanh;
}

void Recurrence::backward_data(const Pass& pass, Tensor& dx) {
  input_.backward_data(pass, blocks(gates_x_, tokens_), dx);
}

namespace {

// Equal blocks, one a gate, in another order.
void append_gates(const std::vector<std::int64_t>& order, const std::vector<float>& from,
                  std::vector<float>& to) {
  const std::size_t block = from.size() / order.size();
  for (const std::int64_t gate : order) {
    const auto begin = from.begin() + gate * static_cast<std::ptrdiff_t>(block);
    to.insert(to.end(), begin, begin + static_cast<std::ptrdiff_t>(block));
  }
}

}  // namespace

void Recurrence::append_onnx(OnnxExport& onnx, OnnxRecurrence& parts) const {
  std::vector<std::int64_t> order = {0};
  if (options_.kind == RecurrentKind::kLstm) order = {0, 3, 1, 2};  // i f g o -> i o f g
  if (options_.kind == RecurrentKind::kGru) order = {1, 0, 2};      // r z n -> z r n
  parts.gate_columns = gate_columns();
  append_gates(order, onnx.values(*input_.weight()), parts.w);
  append_gates(order, onnx.values(*hidden_.weight()), parts.r);
  if (!options_.bias) return;
  append_gates(order, onnx.values(*input_.bias()), parts.b);
  append_gates(order, onnx.values(*hidden_.bias()), parts.b);
}

void Recurrence::ready(const Pass& pass) const {
  input_.ready(pass);
  hidden_.ready(pass);
}

std::int64_t Recurrence::parameters() const {
  return input_.parameters() + hidden_.parameters();
}

std::int64_t Recurrence::multiply_adds() const {
  return input_.multiply_adds() + hidden_.multiply_adds();
}

}  // namespace lockstep
