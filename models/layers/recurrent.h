// Recurrent: layers of torch.nn.RNN, LSTM or GRU over sequences (T, C), from states of zero. Gives
// the state behind every token, (T, H), or behind the last one, (H). Parameters "weight_ih_l0",
// "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", then "..._l1" and so on, gates in PyTorch's order.
// Bidirectional ones have a second set called "..._l0_reverse", which reads from the last token to
// the first; the states of both stand beside each other, (T, 2 H) or (2 H). Dropout, of what one
// level hands to the next alone, has a mask of its own for each level, the same in backward.
#pragma once

#include <vector>

#include "models/layers/recurrence.h"

namespace lockstep {

struct RecurrentOptions {
  RecurrentKind kind = RecurrentKind::kLstm;
  std::int64_t hidden = 0;
  std::int64_t layers = 1;
  bool bias = true;
  bool bidirectional = false;
  bool sequence = false;  // the states of all tokens, not of the last alone
  double dropout = 0;     // between levels, in training
};

class Recurrent final : public UnaryLayer {
 public:
  explicit Recurrent(const RecurrentOptions& options);

  Shape build(Build& build, const Shape& in) override;
  Tensor forward(const Pass& pass, const Tensor& x) override;
  Tensor backward(const Pass& pass, const Tensor& dy) override;
  OnnxValue to_onnx(OnnxExport& onnx, const OnnxValue& x) const override;
  // The last state of one direction lies where backward reads it; all others are copies.
  bool keeps_output() const override { return !options_.sequence && !options_.bidirectional; }

 private:
  struct Level {
    std::vector<Recurrence> directions;  // one or two
    Tensor joined;                       // of two: their states beside each other
    std::uint32_t random_layer = 0;      // of the dropout behind it
    Tensor dropped;                      // its states after dropout
  };
  // States (T, N, width) of one level from those of the level below.
  Tensor forward_level(const Pass& pass, Level& level, const Tensor& x);
  Tensor last_states(const Pass& pass);
  static std::vector<std::string> level_constants(OnnxExport& onnx, const Level& level);
  bool drops(const Pass& pass, const Level& level) const {
    return options_.dropout > 0 && pass.training && &level != &levels_.back();
  }
  void drop(const Pass& pass, const Level& level, const Tensor& x, Tensor& y);  // (T, N, width)
  // dy (T, N, width), or (N, width) of the last states; dx undefined where nobody asks for it.
  void backward_level(const Pass& pass, Level& level, const Tensor& dy, Tensor& dx);

  RecurrentOptions options_;
  std::int64_t tokens_ = 0;
  std::vector<Level> levels_;
  Tensor x_, y_;          // x with time first; y undefined where it is a recurrence's own
  Tensor stack_;          // both directions' states, one behind the other
  Tensor dstates_;        // of a level's output
  Tensor dx_time_, dx_;   // undefined: no gradient flows to the input
  Tensor dx_second_;      // the second direction's part
  Tensor samples_first_;  // where dropout works, for its masks go by samples
};

}  // namespace lockstep
