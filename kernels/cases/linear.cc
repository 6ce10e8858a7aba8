// Linear layers: y[n][o] = Σ_i x[n][i] · w[o][i] + bias[o], w as in the files: (out, in). Where the
// inputs are a flattened image, the file's columns run C, H, W and x's run H, W, C.
#include "kernels/cases/epilogue.h"
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct LinearShape {
  std::int64_t rows, in, out;
  bool bias = true;
  Shape image = {};

  LinearGeometry geometry() const { return {.in = in, .out = out}; }
  Shape file_shape() const { return {out, in}; }
  ParamLayout layout() const { return {.kind = ParamLayout::Kind::kLinear, .image = image}; }
  std::int64_t file_column(std::int64_t i) const {
    if (image.rank() == 0) return i;
    const std::int64_t channel = i % image[2], pixel = i / image[2];
    return channel * image[0] * image[1] + pixel;
  }
  std::string label() const {
    return fmt::format("{}x{}->{}{}{}", rows, in, out, bias ? "" : " no bias",
                       image.rank() == 0 ? "" : " image " + image.to_string());
  }
};

// visit(index in y, in x, in w) for every product of the layer.
template <typename Visit>
void for_each_product(const LinearShape& shape, Visit visit) {
  for (std::int64_t n = 0; n < shape.rows; ++n)
    for (std::int64_t o = 0; o < shape.out; ++o)
      for (std::int64_t i = 0; i < shape.in; ++i)
        visit(static_cast<std::size_t>(n * shape.out + o),
              static_cast<std::size_t>(n * shape.in + i),
              static_cast<std::size_t>(o * shape.in + shape.file_column(i)));
}

Reals forward(const LinearShape& shape, const Values& in) {
  const Doubles &x = in["x"], &w = in["w"];
  Reals y(static_cast<std::size_t>(shape.rows * shape.out));
  if (shape.bias)
    for (std::size_t i = 0; i < y.size(); ++i)
      y[i] = in["bias"][i % static_cast<std::size_t>(shape.out)];
  for_each_product(shape,
                   [&](std::size_t yi, std::size_t xi, std::size_t wi) { y[yi] += x[xi] * w[wi]; });
  return y;
}

double objective(const LinearShape& shape, const Values& in) {
  return dot(in["dy"], forward(shape, in));
}

OpCase common(const LinearShape& shape, const std::string& operation, Use use) {
  OpCase c;
  c.operation = operation;
  c.label = shape.label();
  c.tolerance = 16;
  c.flops = 2.0 * static_cast<double>(shape.rows * shape.in * shape.out);
  c.bytes = 4.0 * static_cast<double>(shape.rows * (shape.in + shape.out) + shape.in * shape.out);
  c.use = use;
  c.peer = {.kind = PeerShape::Kind::kNone,
            .rows = shape.rows,
            .geometry = {.in_h = 1, .in_w = 1, .in_c = shape.in, .out_c = shape.out}};
  return c;
}

Argument packed(const LinearShape& shape, bool data_gradient) {
  return scratch("packed", [=](Backend& backend) {
    return backend.linear_packed_elements(shape.geometry(), data_gradient);
  });
}

void pack(const LinearShape& shape, bool data_gradient, Backend& backend, Stream& stream,
          Tensors& t) {
  if (t["packed"])
    backend.linear_pack(stream, shape.geometry(), data_gradient, t["w"], t["packed"]);
}

OpCase forward_case(const LinearShape& shape, Use use) {
  OpCase c = common(shape, "linear_forward", use);
  c.peer.kind = PeerShape::Kind::kForward;
  c.arguments = {input("x", {shape.rows, shape.in}),
                 weight("w", shape.layout(), shape.file_shape(), Role::kInput, normal()),
                 packed(shape, false), output("y", {shape.rows, shape.out})};
  if (shape.bias) c.arguments.push_back(input("bias", {shape.out}));
  c.prepare = [=](Backend& b, Stream& s, Tensors& t) { pack(shape, false, b, s, t); };
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.linear_forward(s, shape.geometry(), t["x"], t["w"], t["packed"],
                     shape.bias ? t["bias"] : Tensor(), t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) { out["y"] = forward(shape, in); };
  return c;
}

OpCase inference_case(const LinearShape& shape, const EpilogueForm& form) {
  OpCase c = forward_case(shape, Use::kTest);
  c.operation = "linear_inference";
  c.peer.kind = PeerShape::Kind::kNone;
  follow(form, {shape.rows, shape.out}, c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.linear_inference(s, shape.geometry(), t["x"], t["w"], t["packed"],
                       shape.bias ? t["bias"] : Tensor(), epilogue_of(form, t), t["y"]);
  };
  return c;
}

OpCase backward_data_case(const LinearShape& shape, Use use) {
  OpCase c = common(shape, "linear_backward_data", use);
  c.peer.kind = PeerShape::Kind::kBackwardData;
  c.arguments = {input("dy", {shape.rows, shape.out}),
                 weight("w", shape.layout(), shape.file_shape(), Role::kInput, normal()),
                 packed(shape, true),
                 output("dx", {shape.rows, shape.in}),
                 hidden("x", {shape.rows, shape.in}),
                 hidden("bias", {shape.out})};
  c.prepare = [=](Backend& b, Stream& s, Tensors& t) { pack(shape, true, b, s, t); };
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.linear_backward_data(s, shape.geometry(), t["dy"], t["w"], t["packed"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Doubles &dy = in["dy"], &w = in["w"];
    for_each_product(shape, [&, &dx = out["dx"]](std::size_t yi, std::size_t xi, std::size_t wi) {
      dx[xi] += dy[yi] * w[wi];
    });
  };
  c.derivatives = {{"dx", "x", [=](const Values& in) { return objective(shape, in); }}};
  return c;
}

OpCase backward_weights_case(const LinearShape& shape, Use use) {
  OpCase c = common(shape, "linear_backward_weights", use);
  c.peer.kind = PeerShape::Kind::kBackwardWeights;
  c.arguments = {input("x", {shape.rows, shape.in}), input("dy", {shape.rows, shape.out}),
                 weight("dw", shape.layout(), shape.file_shape(), Role::kOutput),
                 hidden("w", shape.file_shape()), hidden("bias", {shape.out})};
  if (shape.bias) c.arguments.push_back(output("dbias", {shape.out}));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    b.linear_backward_weights(s, shape.geometry(), t["x"], t["dy"], t["dw"],
                              shape.bias ? t["dbias"] : none);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Doubles &x = in["x"], &dy = in["dy"];
    for_each_product(shape, [&, &dw = out["dw"]](std::size_t yi, std::size_t xi, std::size_t wi) {
      dw[wi] += x[xi] * dy[yi];
    });
    for (std::size_t i = 0; shape.bias && i < dy.size(); ++i)
      out["dbias"][i % static_cast<std::size_t>(shape.out)] += dy[i];
  };
  const auto slope = [=](const Values& in) { return objective(shape, in); };
  c.derivatives = {{"dw", "w", slope}};
  if (shape.bias) c.derivatives.push_back({"dbias", "bias", slope});
  return c;
}

// A second linear_pack replaces all of what the first one left, in the copy for either direction.
OpCase repack_case(const LinearShape& shape, bool data_gradient) {
  OpCase c =
      data_gradient ? backward_data_case(shape, Use::kTest) : forward_case(shape, Use::kTest);
  c.operation = "linear_pack";
  c.label += data_gradient ? " for data gradients" : " for forward";
  c.arguments.push_back(
      weight("old_w", shape.layout(), shape.file_shape(), Role::kInput, normal()));
  c.prepare = [=](Backend& b, Stream& s, Tensors& t) {
    if (!t["packed"]) return;
    b.linear_pack(s, shape.geometry(), data_gradient, t["old_w"], t["packed"]);
    b.linear_pack(s, shape.geometry(), data_gradient, t["w"], t["packed"]);
  };
  return c;
}

}  // namespace

OpCases linear_cases() {
  OpCases cases;
  const auto add = [&](const LinearShape& shape, Use use) {
    cases.push_back(forward_case(shape, use));
    cases.push_back(backward_data_case(shape, use));
    cases.push_back(backward_weights_case(shape, use));
  };
  for (const LinearShape& shape : {LinearShape{12, 784, 128}, {12, 128, 10}, {16, 1568, 128}})
    add(shape, Use::kBoth);
  for (const LinearShape& shape : {LinearShape{1568, 384, 1536}, {1568, 1536, 384}})  // ConvNeXt
    add(shape, Use::kBenchmark);
  for (const LinearShape& shape : {LinearShape{1, 1, 1},
                                   {0, 5, 3},
                                   {1, 7, 13},
                                   {7, 1, 17},
                                   {13, 31, 1, false},
                                   {17, 13, 33},
                                   {33, 100, 7, false},
                                   {3, 128, 31},
                                   {5, 129, 100},
                                   {2, 300, 17, false},
                                   {129, 17, 13},
                                   {300, 6, 5},
                                   {100, 33, 31},
                                   {29, 64, 48},
                                   {700, 40, 70},
                                   {530, 260, 131, false},
                                   {3, 60, 7, true, {4, 5, 3}},
                                   {14, 7 * 7 * 32, 33, true, {7, 7, 32}}})
    add(shape, Use::kTest);
  for (const EpilogueForm& form : epilogue_forms())
    for (const LinearShape& shape :
         {LinearShape{1, 7, 13}, {0, 5, 3}, {130, 300, 70, false}, {230, 129, 41}})
      cases.push_back(inference_case(shape, form));
  for (const bool data_gradient : {false, true})
    for (const LinearShape& shape : {LinearShape{3, 37, 19}, {8, 128, 64}})
      cases.push_back(repack_case(shape, data_gradient));
  return cases;
}

}  // namespace lockstep::cases
