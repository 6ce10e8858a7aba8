// Convolutions (cross-correlations, as PyTorch's Conv2d): x and y (N, H, W, C), weights as in the
// files: (out, in / groups, kernel_h, kernel_w).
#include "kernels/cases/epilogue.h"
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct ConvShape {
  std::int64_t rows;
  ConvGeometry g;
  bool bias = true;

  Shape x() const { return {rows, g.in_h, g.in_w, g.in_c}; }
  Shape y() const { return {rows, g.out_h(), g.out_w(), g.out_c}; }
  Shape w() const { return {g.out_c, g.in_c / g.groups, g.kernel_h, g.kernel_w}; }
  // What a back end may compute by Winograd's transforms, for which it wants enough channels.
  bool by_tiles() const {
    return !g.direct && g.kernel_h == 3 && g.kernel_w == 3 && g.stride_h * g.stride_w == 1 &&
           g.dilation_h * g.dilation_w == 1 && g.groups == 1 && std::min(g.in_c, g.out_c) >= 16 &&
           g.out_h() * g.out_w() > 4;
  }
  // Errors of Winograd's transforms are 4 to 5 times those of plain sums.
  double tolerance() const { return by_tiles() ? 5 * 16 : 16; }
  ParamLayout layout() const {
    return {.kind = ParamLayout::Kind::kConv, .image = {}, .groups = g.groups};
  }
  std::string label() const {
    std::string text = fmt::format("{}x{}x{} {}->{} {}x{}", rows, g.in_h, g.in_w, g.in_c, g.out_c,
                                   g.kernel_h, g.kernel_w);
    if (g.stride_h * g.stride_w != 1) text += fmt::format(" stride {}x{}", g.stride_h, g.stride_w);
    if (g.pad_h + g.pad_w != 0) text += fmt::format(" pad {}x{}", g.pad_h, g.pad_w);
    if (g.dilation_h * g.dilation_w != 1)
      text += fmt::format(" dilation {}x{}", g.dilation_h, g.dilation_w);
    if (g.groups != 1) text += fmt::format(" groups {}", g.groups);
    if (g.direct) text += " direct";
    return bias ? text : text + " no bias";
  }
};

// visit(index in y, in x, in w) for every product whose pixel lies inside the image.
template <typename Visit>
void for_each_product(const ConvShape& shape, Visit visit) {
  const ConvGeometry& g = shape.g;
  const std::int64_t group_in = g.in_c / g.groups, group_out = g.out_c / g.groups;
  for (std::int64_t n = 0; n < shape.rows; ++n)
    for (std::int64_t oh = 0; oh < g.out_h(); ++oh)
      for (std::int64_t ow = 0; ow < g.out_w(); ++ow)
        for (std::int64_t r = 0; r < g.kernel_h; ++r)
          for (std::int64_t s = 0; s < g.kernel_w; ++s) {
            const std::int64_t ih = oh * g.stride_h - g.pad_h + r * g.dilation_h;
            const std::int64_t iw = ow * g.stride_w - g.pad_w + s * g.dilation_w;
            if (ih < 0 || ih >= g.in_h || iw < 0 || iw >= g.in_w) continue;
            const std::int64_t y = ((n * g.out_h() + oh) * g.out_w() + ow) * g.out_c;
            const std::int64_t x = ((n * g.in_h + ih) * g.in_w + iw) * g.in_c;
            for (std::int64_t o = 0; o < g.out_c; ++o)
              for (std::int64_t i = 0; i < group_in; ++i)
                visit(static_cast<std::size_t>(y + o),
                      static_cast<std::size_t>(x + o / group_out * group_in + i),
                      static_cast<std::size_t>(((o * group_in + i) * g.kernel_h + r) * g.kernel_w +
                                               s));
          }
}

Reals forward(const ConvShape& shape, const Values& in) {
  const Doubles &x = in["x"], &w = in["w"];
  Reals y(static_cast<std::size_t>(shape.y().elements()));
  if (shape.bias)
    for (std::size_t i = 0; i < y.size(); ++i)
      y[i] = in["bias"][i % static_cast<std::size_t>(shape.g.out_c)];
  for_each_product(shape,
                   [&](std::size_t yi, std::size_t xi, std::size_t wi) { y[yi] += x[xi] * w[wi]; });
  return y;
}

// By tiles, the error of a result is a share of all that its tile holds, not of its own terms.
void spread_magnitude(const ConvShape& shape, Reals& results) {
  double largest = 0;
  for (const Real& result : results) largest = std::max(largest, result.magnitude);
  for (Real& result : results)
    if (shape.by_tiles()) result.magnitude = largest;
}

double objective(const ConvShape& shape, const Values& in) {
  return dot(in["dy"], forward(shape, in));
}

// Pairs of an output and a tap of the kernel along one axis where the tap sees no padding.
double taps_inside(std::int64_t out, std::int64_t kernel, std::int64_t stride,
                   std::int64_t dilation, std::int64_t pad, std::int64_t in) {
  double pairs = 0;
  for (std::int64_t o = 0; o < out; ++o)
    for (std::int64_t k = 0; k < kernel; ++k) {
      const std::int64_t place = o * stride + k * dilation - pad;
      if (place >= 0 && place < in) ++pairs;
    }
  return pairs;
}

OpCase common(const ConvShape& shape, const std::string& operation, Use use) {
  OpCase c;
  c.operation = operation;
  c.label = shape.label();
  c.tolerance = shape.tolerance();
  const double positions = taps_inside(shape.g.out_h(), shape.g.kernel_h, shape.g.stride_h,
                                       shape.g.dilation_h, shape.g.pad_h, shape.g.in_h) *
                           taps_inside(shape.g.out_w(), shape.g.kernel_w, shape.g.stride_w,
                                       shape.g.dilation_w, shape.g.pad_w, shape.g.in_w);
  c.flops = 2.0 * positions * static_cast<double>(shape.rows * shape.g.weight_elements()) /
            static_cast<double>(shape.g.kernel_h * shape.g.kernel_w);
  c.saves_flops = shape.by_tiles();
  c.bytes = 4.0 * static_cast<double>(shape.x().elements() + shape.y().elements() +
                                      shape.g.weight_elements());
  c.use = use;
  c.peer = {.kind = PeerShape::Kind::kNone, .rows = shape.rows, .geometry = shape.g};
  return c;
}

Argument packed(const ConvShape& shape, bool data_gradient) {
  return scratch("packed", [=](Backend& backend) {
    return backend.conv_packed_elements(shape.g, data_gradient);
  });
}

void pack(const ConvShape& shape, bool data_gradient, Backend& backend, Stream& stream,
          Tensors& t) {
  if (t["packed"]) backend.conv_pack(stream, shape.g, data_gradient, t["w"], t["packed"]);
}

OpCase forward_case(const ConvShape& shape, Use use) {
  OpCase c = common(shape, "conv_forward", use);
  c.peer.kind = PeerShape::Kind::kForward;
  c.arguments = {input("x", shape.x()),
                 weight("w", shape.layout(), shape.w(), Role::kInput, normal()),
                 packed(shape, false), output("y", shape.y())};
  if (shape.bias) c.arguments.push_back(input("bias", {shape.g.out_c}));
  c.prepare = [=](Backend& b, Stream& s, Tensors& t) { pack(shape, false, b, s, t); };
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.conv_forward(s, shape.g, t["x"], t["w"], t["packed"], shape.bias ? t["bias"] : Tensor(),
                   t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    out["y"] = forward(shape, in);
    spread_magnitude(shape, out["y"]);
  };
  return c;
}

OpCase inference_case(const ConvShape& shape, const EpilogueForm& form, Use use) {
  OpCase c = forward_case(shape, use);
  c.operation = "conv_inference";
  c.peer.kind = PeerShape::Kind::kNone;
  follow(form, shape.y(), c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.conv_inference(s, shape.g, t["x"], t["w"], t["packed"], shape.bias ? t["bias"] : Tensor(),
                     epilogue_of(form, t), t["y"]);
  };
  return c;
}

OpCase backward_data_case(const ConvShape& shape, Use use) {
  OpCase c = common(shape, "conv_backward_data", use);
  c.peer.kind = PeerShape::Kind::kBackwardData;
  c.arguments = {
      input("dy", shape.y()), weight("w", shape.layout(), shape.w(), Role::kInput, normal()),
      packed(shape, true),    output("dx", shape.x()),
      hidden("x", shape.x()), hidden("bias", {shape.g.out_c})};
  c.prepare = [=](Backend& b, Stream& s, Tensors& t) { pack(shape, true, b, s, t); };
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.conv_backward_data(s, shape.g, t["dy"], t["w"], t["packed"], false, t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Doubles &dy = in["dy"], &w = in["w"];
    for_each_product(shape, [&, &dx = out["dx"]](std::size_t yi, std::size_t xi, std::size_t wi) {
      dx[xi] += dy[yi] * w[wi];
    });
    spread_magnitude(shape, out["dx"]);
  };
  c.derivatives = {{"dx", "x", [=](const Values& in) { return objective(shape, in); }}};
  return c;
}

OpCase backward_weights_case(const ConvShape& shape, Use use) {
  OpCase c = common(shape, "conv_backward_weights", use);
  c.peer.kind = PeerShape::Kind::kBackwardWeights;
  c.arguments = {input("x", shape.x()), input("dy", shape.y()),
                 weight("dw", shape.layout(), shape.w(), Role::kOutput), hidden("w", shape.w()),
                 hidden("bias", {shape.g.out_c})};
  if (shape.bias) c.arguments.push_back(output("dbias", {shape.g.out_c}));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    b.conv_backward_weights(s, shape.g, t["x"], t["dy"], false, t["dw"],
                            shape.bias ? t["dbias"] : none);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Doubles &x = in["x"], &dy = in["dy"];
    for_each_product(shape, [&, &dw = out["dw"]](std::size_t yi, std::size_t xi, std::size_t wi) {
      dw[wi] += x[xi] * dy[yi];
    });
    spread_magnitude(shape, out["dw"]);
    for (std::size_t i = 0; shape.bias && i < dy.size(); ++i)
      out["dbias"][i % static_cast<std::size_t>(shape.g.out_c)] += dy[i];
  };
  const auto slope = [=](const Values& in) { return objective(shape, in); };
  c.derivatives = {{"dw", "w", slope}};
  if (shape.bias) c.derivatives.push_back({"dbias", "bias", slope});
  return c;
}

// A second conv_pack replaces all of what the first one left, in the copy for either direction.
OpCase repack_case(const ConvShape& shape, bool data_gradient) {
  OpCase c =
      data_gradient ? backward_data_case(shape, Use::kTest) : forward_case(shape, Use::kTest);
  c.operation = "conv_pack";
  c.label += data_gradient ? " for data gradients" : " for forward";
  c.arguments.push_back(weight("old_w", shape.layout(), shape.w(), Role::kInput, normal()));
  c.prepare = [=](Backend& b, Stream& s, Tensors& t) {
    if (!t["packed"]) return;
    b.conv_pack(s, shape.g, data_gradient, t["old_w"], t["packed"]);
    b.conv_pack(s, shape.g, data_gradient, t["w"], t["packed"]);
  };
  return c;
}

// Square image, kernel and stride.
ConvShape square(std::int64_t rows, std::int64_t in_c, std::int64_t out_c, std::int64_t size,
                 std::int64_t kernel, std::int64_t pad, std::int64_t stride = 1) {
  return {.rows = rows,
          .g = {.in_h = size,
                .in_w = size,
                .in_c = in_c,
                .out_c = out_c,
                .kernel_h = kernel,
                .kernel_w = kernel,
                .stride_h = stride,
                .stride_w = stride,
                .pad_h = pad,
                .pad_w = pad}};
}

// A depthwise convolution.
ConvShape depthwise(ConvShape shape) {
  shape.g.groups = shape.g.in_c;
  return shape;
}

ConvShape direct(ConvShape shape) {
  shape.g.direct = true;
  return shape;
}

std::vector<ConvShape> benchmark_shapes() {
  std::vector<ConvShape> shapes = {
      square(16, 1, 16, 28, 5, 2),      square(16, 16, 32, 14, 5, 2),  // the small network
      square(4, 3, 64, 224, 7, 3, 2),                                  // ResNet-18 from here
      square(4, 64, 128, 56, 3, 1, 2),  square(4, 128, 256, 28, 3, 1, 2),
      square(4, 256, 512, 14, 3, 1, 2), square(4, 64, 128, 56, 1, 0, 2),
      square(4, 128, 256, 28, 1, 0, 2), square(4, 256, 512, 14, 1, 0, 2),
      square(4, 256, 64, 56, 1, 0),     square(4, 64, 256, 56, 1, 0),  // ResNet-50
      square(4, 1024, 256, 14, 1, 0),   square(4, 512, 2048, 7, 1, 0)};
  for (const ConvShape& shape : {square(4, 64, 64, 56, 3, 1), square(4, 128, 128, 28, 3, 1),
                                 square(4, 256, 256, 14, 3, 1), square(4, 512, 512, 7, 3, 1),
                                 square(16, 64, 64, 32, 3, 1),  // ResNet-18 for images of 32 x 32
                                 square(16, 128, 128, 16, 3, 1), square(16, 256, 256, 8, 3, 1),
                                 square(16, 512, 512, 4, 3, 1), square(32, 256, 256, 2, 3, 1),
                                 square(32, 512, 512, 1, 3, 1)}) {
    shapes.push_back(shape);
    shapes.push_back(direct(shape));
  }
  for (const ConvShape& shape :
       {square(4, 32, 32, 112, 3, 1), square(4, 96, 96, 112, 3, 1, 2),  // EfficientNet-B0
        square(4, 240, 240, 28, 5, 2), square(4, 672, 672, 14, 5, 2, 2),
        square(4, 96, 96, 56, 7, 3), square(4, 384, 384, 14, 7, 3), square(4, 768, 768, 7, 7, 3)})
    shapes.push_back(depthwise(shape));  // the last three: ConvNeXt-T
  return shapes;
}

std::vector<ConvShape> odd_shapes() {
  return {
      {.rows = 2,
       .g = {.in_h = 9,
             .in_w = 11,
             .in_c = 3,
             .out_c = 7,
             .kernel_h = 3,
             .kernel_w = 2,
             .stride_h = 2,
             .stride_w = 1,
             .pad_h = 1,
             .pad_w = 0}},
      {.rows = 1,
       .g = {.in_h = 6,
             .in_w = 17,
             .in_c = 2,
             .out_c = 13,
             .kernel_h = 1,
             .kernel_w = 7,
             .pad_h = 0,
             .pad_w = 3},
       .bias = false},
      {.rows = 2,
       .g = {.in_h = 12,
             .in_w = 10,
             .in_c = 5,
             .out_c = 6,
             .kernel_h = 3,
             .kernel_w = 3,
             .pad_h = 2,
             .pad_w = 1,
             .dilation_h = 2,
             .dilation_w = 3}},
      {.rows = 2,
       .g = {.in_h = 7,
             .in_w = 7,
             .in_c = 4,
             .out_c = 6,
             .kernel_h = 3,
             .kernel_w = 3,
             .pad_h = 1,
             .pad_w = 1,
             .groups = 2}},
      {.rows = 1,
       .g = {.in_h = 8,
             .in_w = 9,
             .in_c = 17,
             .out_c = 17,
             .kernel_h = 3,
             .kernel_w = 3,
             .stride_h = 2,
             .stride_w = 2,
             .pad_h = 1,
             .pad_w = 1,
             .groups = 17},
       .bias = false},
      {.rows = 1,
       .g = {.in_h = 5,
             .in_w = 6,
             .in_c = 40,
             .out_c = 34,
             .kernel_h = 3,
             .kernel_w = 3,
             .stride_h = 1,
             .stride_w = 2,
             .pad_h = 1,
             .pad_w = 1,
             .dilation_h = 2,
             .dilation_w = 1,
             .groups = 2}},
  };
}

}  // namespace

OpCases conv_cases() {
  OpCases cases;
  const auto add = [&](const ConvShape& shape, Use use) {
    cases.push_back(forward_case(shape, use));
    cases.push_back(backward_data_case(shape, use));
    cases.push_back(backward_weights_case(shape, use));
  };
  for (const ConvShape& shape : benchmark_shapes()) add(shape, Use::kBenchmark);
  for (const ConvShape& shape : odd_shapes()) add(shape, Use::kTest);
  for (const ConvShape& shape :
       {square(1, 1, 1, 1, 1, 0),                                    // one product
        square(0, 3, 4, 5, 3, 1),                                    // no rows
        square(2, 1, 16, 28, 5, 2),                                  // the small network's two
        square(1, 16, 32, 14, 5, 2), square(1, 3, 16, 30, 7, 3, 2),  // a stem
        square(1, 64, 33, 7, 1, 0),                                  // 1x1
        square(1, 31, 17, 9, 1, 0, 2),                               // a down-sampling
        square(1, 150, 290, 31, 1, 0),                               // many channels, two groups
        square(1, 150, 267, 12, 1, 1, 2),                            // the same with padding
        square(2, 31, 33, 7, 3, 1),                                  // k = 279: three runs
        square(1, 160, 13, 5, 3, 1),                                 // k > 128 in one row of taps
        square(1, 13, 100, 6, 3, 1, 2), square(3, 3, 5, 2, 5, 2),  // the image is below the kernel
        square(2, 2, 7, 8, 2, 0, 3),                               // pixels that no window reads
        square(1, 2, 3, 4, 1, 2),                                  // windows in padding alone
        square(2, 33, 31, 17, 3, 1), direct(square(2, 33, 31, 17, 3, 1)),
        // by Winograd's transforms: all last tiles, pads, several runs over channels, no images,
        // weights beyond a cache
        square(1, 16, 16, 2, 3, 1), square(2, 17, 40, 3, 3, 1), square(1, 33, 16, 4, 3, 0),
        square(2, 20, 24, 5, 3, 2), square(1, 64, 32, 6, 3, 0), square(0, 16, 16, 8, 3, 1),
        square(2, 32, 160, 7, 3, 1), square(1, 290, 18, 8, 3, 1), square(3, 19, 150, 10, 3, 2),
        square(2, 64, 64, 15, 3, 1), square(1, 90, 96, 4, 3, 1),
        // images as rows: one output pixel and up to four, strides, taps that see nothing, runs
        square(5, 33, 70, 1, 3, 1), square(3, 40, 31, 2, 3, 1), square(2, 17, 45, 4, 3, 1, 2),
        square(70, 130, 34, 2, 3, 1, 2), square(2, 6, 33, 6, 5, 0), square(3, 9, 10, 8, 7, 0),
        square(0, 16, 16, 2, 3, 1), square(4, 20, 64, 3, 1, 0, 2), square(1, 7, 5, 2, 5, 2, 2),
        // depthwise: all numbers of pixels and vectors, edges on both sides, phases, long rows
        depthwise(square(2, 2, 2, 5, 3, 1)), depthwise(square(1, 35, 35, 13, 3, 1)),
        depthwise(square(2, 300, 300, 4, 7, 3)), depthwise(square(1, 48, 48, 11, 5, 2, 2)),
        depthwise(square(1, 17, 17, 9, 3, 0, 3)), depthwise(square(1, 3, 3, 140, 3, 1)),
        depthwise(square(0, 16, 16, 8, 3, 1)), depthwise(square(1, 8, 8, 12, 11, 5))})
    add(shape, Use::kTest);
  // By every way in which a forward pass is computed.
  for (const EpilogueForm& form : epilogue_forms())
    for (const ConvShape& shape :
         {square(2, 33, 45, 7, 1, 0), square(1, 70, 29, 9, 3, 1, 2), square(1, 3, 20, 23, 7, 3, 2),
          square(2, 40, 150, 10, 3, 1), square(3, 20, 64, 3, 1, 0, 2), square(4, 300, 31, 1, 1, 0),
          depthwise(square(2, 35, 35, 13, 3, 1)), depthwise(square(1, 50, 50, 9, 5, 2, 2))})
      cases.push_back(inference_case(shape, form, Use::kTest));
  cases.push_back(inference_case(square(4, 32, 192, 28, 1, 0), epilogue_forms()[2], Use::kBoth));
  for (const bool data_gradient : {false, true})
    for (const ConvShape& shape :
         {square(2, 5, 19, 6, 3, 1), square(1, 3, 18, 9, 5, 2, 2), square(1, 18, 34, 6, 3, 1)})
      cases.push_back(repack_case(shape, data_gradient));
  return cases;
}

}  // namespace lockstep::cases
