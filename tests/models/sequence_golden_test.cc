// Layers of sequences against PyTorch: tests/golden/sequences.json, made by make_sequences.py. Both
// passes, names and shapes of the parameters, within float32's rounding of PyTorch's float64.
#include "models/layers/embedding.h"
#include "models/layers/linear.h"
#include "models/layers/multihead_attention.h"
#include "models/layers/recurrent.h"
#include "tests/models/golden.h"

namespace lockstep {
namespace {

std::unique_ptr<UnaryLayer> make_layer(const Json& one) {
  const auto name = one["layer"].get<std::string>();
  if (name == "embedding")
    return std::make_unique<Embedding>(EmbeddingOptions{one["ids"], one["width"], {}});
  if (name == "linear") return std::make_unique<Linear>(one["out"].get<std::int64_t>());
  if (name == "attention") {
    AttentionOptions options{.heads = one["heads"], .causal = one["causal"]};
    if (one.contains("padding")) options.padding = one["padding"].get<std::int64_t>();
    return std::make_unique<MultiheadAttention>(options);
  }
  RecurrentOptions options;
  options.kind = name == "lstm"       ? RecurrentKind::kLstm
                 : name == "gru"      ? RecurrentKind::kGru
                 : name == "rnn_relu" ? RecurrentKind::kRnnRelu
                                      : RecurrentKind::kRnnTanh;
  options.hidden = one["hidden"];
  options.layers = one["layers"];
  options.sequence = one["sequence"];
  options.bidirectional = one["bidirectional"];
  return std::make_unique<Recurrent>(options);
}

void set_weights(Rig& rig, const Json& names) {
  ASSERT_EQ(names.size(), rig.params.all().size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    Param* const param = rig.params.find(names[i].get<std::string>());
    ASSERT_NE(param, nullptr) << names[i];
    std::vector<float> values = hashed(i, param->elements);
    for (float& value : values) value *= 0.5f;
    rig.backend->from_file_order(param->spec.layout, param->spec.file_shape,
                                 tensor_of(param->spec.file_shape, values), param->value);
  }
  ++rig.version;
}

Tensor input_of(const Json& one, const Shape& shape) {
  const std::vector<float> values = hashed(1000, shape.elements());
  const auto ids = one["ids"].get<std::int64_t>();
  if (ids == 0) return tensor_of(shape, values);
  Tensor tensor = host_tensor(shape, DType::kInt64);
  std::ranges::transform(values, tensor.data<std::int64_t>(), [&](float value) {
    return static_cast<std::int64_t>((static_cast<double>(value) + 1) / 2 *
                                     static_cast<double>(ids));
  });
  return tensor;
}

TEST(SequenceGolden, LayersComputeWhatPyTorchDoes) {
  const Json golden = read_golden("sequences.json");
  ASSERT_EQ(golden["cases"].size(), 14u);
  for (const Json& one : golden["cases"]) {
    SCOPED_TRACE(one["title"].get<std::string>());
    const Shape sample(one["sample"].get<std::vector<std::int64_t>>());
    const auto rows = one["rows"].get<std::int64_t>();
    Rig rig(make_layer(one), sample, {.max_rows = rows + 1});
    set_weights(rig, one["names"]);
    if (HasFatalFailure()) return;

    const Tensor x = input_of(one, sample.with_rows(rows));
    const Tensor y = rig.forward(x);
    expect_near(doubles_of(y), one["output"].get<std::vector<double>>(), 1e-5, "output");
    const Tensor dx = rig.backward(tensor_of(y.shape(), hashed(1001, y.elements())));
    if (one.contains("input_gradient"))
      expect_near(doubles_of(dx), one["input_gradient"].get<std::vector<double>>(), 1e-5, "dx");
    check_gradients(rig, one["names"], one["gradients"]);
  }
}

}  // namespace
}  // namespace lockstep
