// Order of parameters: what from_file_order stores, to_file_order returns to the bit, and it stores
// as many elements as the file has. Which place means which weight is shown by the linear and
// convolution cases, whose references read the files' order.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

// Weights enter through from_file_order and leave through to_file_order (see case_run.cc); here the
// value between them is copied or, for to_file_order, rewritten by a second pass over the file.
OpCase round_trip(const std::string& operation, ParamLayout layout, const Shape& file_shape) {
  OpCase c;
  c.operation = operation;
  c.label = fmt::format("kind {} {} groups {} image {}", static_cast<int>(layout.kind),
                        file_shape.to_string(), layout.groups, layout.image.to_string());
  c.arguments = {weight("value", layout, file_shape, Role::kInput, normal()),
                 weight("copy", layout, file_shape, Role::kOutput)};
  const bool through_file = operation == "to_file_order";
  c.run = [=](Backend& backend, Stream&, Tensors& t) {
    if (!through_file) {
      backend.copy(t["value"], t["copy"]);
      return;
    }
    Tensor file = backend.empty_pinned(file_shape, DType::kFloat32);
    backend.to_file_order(layout, file_shape, t["value"], file);
    backend.from_file_order(layout, file_shape, file, t["copy"]);
  };
  c.reference = [](const Values& in, Results& out) {
    const Doubles& value = in["value"];
    for (std::size_t i = 0; i < value.size(); ++i) out["copy"][i] = value[i];
  };
  return c;
}

}  // namespace

OpCases order_cases() {
  using Kind = ParamLayout::Kind;
  OpCases cases;
  for (const char* operation : {"from_file_order", "to_file_order"}) {
    const auto add = [&](ParamLayout layout, const Shape& file_shape) {
      cases.push_back(round_trip(operation, layout, file_shape));
    };
    add({.kind = Kind::kPlain, .image = {}}, {17});
    add({.kind = Kind::kPlain, .image = {}}, {3, 5});
    add({.kind = Kind::kLinear, .image = {}}, {1, 1});
    add({.kind = Kind::kLinear, .image = {}}, {33, 100});
    add({.kind = Kind::kLinear, .image = {2, 3, 5}}, {7, 30});
    add({.kind = Kind::kConv, .image = {}}, {13, 7, 3, 5});
    add({.kind = Kind::kConv, .image = {}}, {32, 16, 1, 1});
    add({.kind = Kind::kConv, .image = {}, .groups = 4}, {12, 3, 3, 3});
    add({.kind = Kind::kConv, .image = {}, .groups = 17}, {17, 1, 3, 3});
  }
  return cases;
}

}  // namespace lockstep::cases
