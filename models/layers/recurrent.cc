#include "models/layers/recurrent.h"

#include <algorithm>

#include "runtime/step/onnx_export.h"

namespace lockstep {

namespace {

const char* kind_name(RecurrentKind kind) {
  return kind == RecurrentKind::kLstm ? "lstm" : kind == RecurrentKind::kGru ? "gru" : "rnn";
}

// The start of a buffer, in a shape of its own.
Tensor part_of(const Tensor& buffer, const Shape& shape) {
  return buffer.view({buffer.elements()}).head(shape.elements()).view(shape);
}

}  // namespace

Recurrent::Recurrent(const RecurrentOptions& options) : options_(options) {
  if (options.hidden < 1 || options.layers < 1)
    throw Error("{} recurrent layers of hidden size {}; both are at least 1", options.layers,
                options.hidden);
  if (!(options.dropout >= 0 && options.dropout < 1))
    throw Error("recurrent layers with dropout {}; it lies in [0, 1)", options.dropout);
}

Shape Recurrent::build(Build& build, const Shape& in) {
  const std::string kind = kind_name(options_.kind);
  if (in.rank() != 2)
    throw Error("layer '{}' ({}) takes sequences (T, C), not {}", build.path(), kind,
                in.to_string());
  tokens_ = in[0];
  const bool data_gradient = build.gradient_flows;
  const std::int64_t width = options_.hidden * (options_.bidirectional ? 2 : 1);
  const Shape states{tokens_, width};
  std::int64_t parameters = 0, multiply_adds = 0;
  for (std::int64_t i = 0; i < options_.layers; ++i) {
    Level& level = levels_.emplace_back();
    for (const bool reverse : {false, true}) {
      if (reverse && !options_.bidirectional) continue;
      Recurrence& direction = level.directions.emplace_back(
          RecurrenceOptions{options_.kind, options_.hidden, options_.bias, reverse});
      direction.build(build, i == 0 ? in : states,
                      fmt::format("_l{}{}", i, reverse ? "_reverse" : ""), data_gradient || i > 0);
      parameters += direction.parameters();
      multiply_adds += tokens_ * direction.multiply_adds();
    }
    if (options_.bidirectional) level.joined = build.buffer(states);
    if (options_.dropout > 0 && i + 1 < options_.layers) {
      level.random_layer = build.next_random_layer();
      level.dropped = build.buffer(states);
    }
  }
  const Shape out = options_.sequence ? states : Shape{width};
  x_ = build.buffer(in);
  if (!keeps_output()) y_ = build.buffer(out);
  if (options_.sequence || options_.layers > 1) dstates_ = build.buffer(states);
  if (options_.dropout > 0) samples_first_ = build.buffer(states);
  if (data_gradient) {
    dx_time_ = build.buffer(in);
    dx_ = build.buffer(in);
  }
  if (options_.bidirectional) {
    stack_ = build.buffer(states);
    dx_second_ = build.buffer({tokens_, std::max(width, in[1])});
  }
  build.table.push_back({build.path(), kind, out, parameters, multiply_adds});
  return out;
}

Tensor Recurrent::forward(const Pass& pass, const Tensor& x) {
  Tensor states = part_of(x_, {tokens_, x.rows(), x.shape()[2]});
  pass.backend.swap_rows(pass.stream, x, states);
  for (Level& level : levels_) {
    states = forward_level(pass, level, states);
    if (!drops(pass, level)) continue;
    Tensor dropped = part_of(level.dropped, states.shape());
    drop(pass, level, states, dropped);
    states = dropped;
  }
  if (!options_.sequence) return last_states(pass);
  Tensor y = y_.head(x.rows());
  pass.backend.swap_rows(pass.stream, states, y);
  return y;
}

// Two directions one behind the other are (2, T · N, H); with these axes swapped they stand beside
// each other.
Tensor Recurrent::forward_level(const Pass& pass, Level& level, const Tensor& x) {
  if (level.directions.size() == 1) return level.directions[0].forward(pass, x);
  const std::int64_t rows = x.shape()[1], hidden = options_.hidden;
  const Tensor both = part_of(stack_, {2, tokens_ * rows, hidden});
  for (std::int64_t i = 0; i < 2; ++i) {
    Tensor place = both.slice(i, i + 1).view({tokens_, rows, hidden});
    const Tensor states = level.directions[static_cast<std::size_t>(i)].forward(pass, x);
    pass.backend.copy_async(pass.stream, states, place);
  }
  Tensor joined = part_of(level.joined, {tokens_ * rows, 2, hidden});
  pass.backend.swap_rows(pass.stream, both, joined);
  return joined.view({tokens_, rows, 2 * hidden});
}

void Recurrent::drop(const Pass& pass, const Level& level, const Tensor& x, Tensor& y) {
  const DropoutOptions options{static_cast<float>(options_.dropout),
                               {pass.seed, RandomPurpose::kDropout, level.random_layer,
                                static_cast<std::uint64_t>(pass.step)}};
  Tensor samples = part_of(samples_first_, {x.shape()[1], x.shape()[0], x.shape()[2]});
  pass.backend.swap_rows(pass.stream, x, samples);
  pass.backend.dropout(pass.stream, options, pass.sample_ids, samples, samples);
  pass.backend.swap_rows(pass.stream, samples, y);
}

Tensor Recurrent::last_states(const Pass& pass) {
  std::vector<Recurrence>& directions = levels_.back().directions;
  if (directions.size() == 1) return directions[0].last();
  const std::int64_t rows = directions[0].last().rows(), hidden = options_.hidden;
  const Tensor both = part_of(stack_, {2, rows, hidden});
  for (std::int64_t i = 0; i < 2; ++i) {
    Tensor place = both.slice(i, i + 1).view({rows, hidden});
    pass.backend.copy_async(pass.stream, directions[static_cast<std::size_t>(i)].last(), place);
  }
  Tensor y = y_.head(rows).view({rows, 2, hidden});
  pass.backend.swap_rows(pass.stream, both, y);
  return y.view({rows, 2 * hidden});
}

Tensor Recurrent::backward(const Pass& pass, const Tensor& dy) {
  const std::int64_t rows = dy.rows();
  Tensor dstates = dy;
  if (options_.sequence) {
    dstates = part_of(dstates_, {tokens_, rows, dy.shape()[2]});
    pass.backend.swap_rows(pass.stream, dy, dstates);
  }
  for (std::size_t i = levels_.size(); i-- > 0;) {
    if (drops(pass, levels_[i])) drop(pass, levels_[i], dstates, dstates);
    // The gradient of a level's states is read no more when that of the one below takes its place.
    Tensor dx;
    if (i > 0) {
      dx = part_of(dstates_, {tokens_, rows, dy.shape().back()});
    } else if (dx_) {
      dx = part_of(dx_time_, {tokens_, rows, dx_.shape()[2]});
    }
    backward_level(pass, levels_[i], dstates, dx);
    dstates = dx;
  }
  if (!dx_) return {};
  Tensor dx = dx_.head(rows);
  pass.backend.swap_rows(pass.stream, dstates, dx);
  return dx;
}

void Recurrent::backward_level(const Pass& pass, Level& level, const Tensor& dy, Tensor& dx) {
  std::vector<Recurrence>& directions = level.directions;
  if (directions.size() == 1) {
    directions[0].backward(pass, dy);
  } else {
    const std::int64_t hidden = options_.hidden, places = dy.elements() / (2 * hidden);
    Shape shape{dy.shape()[0], hidden};
    if (dy.shape().rank() == 3) shape = {dy.shape()[0], dy.shape()[1], hidden};
    Tensor both = part_of(stack_, {2, places, hidden});
    pass.backend.swap_rows(pass.stream, dy.view({places, 2, hidden}), both);
    for (std::int64_t i = 0; i < 2; ++i)
      directions[static_cast<std::size_t>(i)].backward(pass, both.slice(i, i + 1).view(shape));
  }
  if (dx) {
    directions[0].backward_data(pass, dx);
    if (directions.size() == 2) {
      Tensor second = part_of(dx_second_, dx.shape());
      directions[1].backward_data(pass, second);
      pass.backend.add(pass.stream, dx, second, dx);
    }
  }
  for (Recurrence& direction : directions) direction.ready(pass);
}

// ONNX's RNN, LSTM and GRU take time first, (T, N, C), and give the states of all tokens,
// (T, directions, N, H), and behind the last one, (directions, N, H).
OnnxValue Recurrent::to_onnx(OnnxExport& onnx, const OnnxValue& x) const {
  const std::int64_t directions = options_.bidirectional ? 2 : 1;
  const std::int64_t width = directions * options_.hidden;
  std::vector<OnnxAttribute> attributes = {
      {"hidden_size", options_.hidden},
      {"direction", std::string(options_.bidirectional ? "bidirectional" : "forward")}};
  std::string op = "RNN";
  if (options_.kind == RecurrentKind::kLstm) op = "LSTM";
  if (options_.kind == RecurrentKind::kGru) {
    op = "GRU";
    attributes.push_back({"linear_before_reset", std::int64_t{1}});
  }
  if (options_.kind == RecurrentKind::kRnnRelu)
    attributes.push_back(
        {"activations", std::vector<std::string>(static_cast<std::size_t>(directions), "Relu")});

  std::string states = onnx.transposed(x.name, {1, 0, 2});
  for (const Level& level : levels_) {
    const bool last = &level == &levels_.back();
    std::vector<std::string> inputs = level_constants(onnx, level);
    inputs.insert(inputs.begin(), states);
    if (last && !options_.sequence) {
      const std::string ends = onnx.node(op, inputs, attributes, 1);
      return {onnx.reshaped(onnx.transposed(ends, {1, 0, 2}), {0, width}), {width}};
    }
    const std::string all = onnx.node(op, inputs, attributes);
    const std::vector<std::int64_t> samples_first = {2, 0, 1, 3}, time_first = {0, 2, 1, 3};
    states = onnx.reshaped(onnx.transposed(all, last ? samples_first : time_first), {0, 0, width});
  }
  return {states, {tokens_, width}};
}

// W, R and, of layers with biases, B: of both directions, one behind the other.
std::vector<std::string> Recurrent::level_constants(OnnxExport& onnx, const Level& level) {
  OnnxRecurrence parts;
  for (const Recurrence& direction : level.directions) direction.append_onnx(onnx, parts);
  const auto directions = static_cast<std::int64_t>(level.directions.size());
  const std::int64_t gates = parts.gate_columns;
  const auto constant = [&](const char* name, const std::vector<float>& values,
                            const Shape& shape) {
    return onnx.constant(onnx.path() + "/" + name, values, shape);
  };
  const auto width = static_cast<std::int64_t>(parts.w.size()) / (directions * gates);
  const auto hidden = static_cast<std::int64_t>(parts.r.size()) / (directions * gates);
  std::vector<std::string> names = {constant("W", parts.w, {directions, gates, width}),
                                    constant("R", parts.r, {directions, gates, hidden})};
  if (!parts.b.empty()) names.push_back(constant("B", parts.b, {directions, 2 * gates}));
  return names;
}

}  // namespace lockstep
