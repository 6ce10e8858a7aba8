// Adaptive pooling: PyTorch's windows, from floor(o I / O) to ceil((o + 1) I / O).
#include "kernels/cases/max_pool.h"
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct AdaptiveShape {
  std::int64_t rows;
  AdaptivePoolGeometry g;

  Shape x() const { return {rows, g.in_h, g.in_w, g.channels}; }
  Shape y() const { return {rows, g.out_h, g.out_w, g.channels}; }
  std::string label() const {
    return fmt::format("{} to {}x{}", x().to_string(), g.out_h, g.out_w);
  }
};

// visit(index in y, place in the image, index in x) for every place of every window.
template <typename Visit>
void for_each_place(const AdaptiveShape& shape, Visit visit) {
  const AdaptivePoolGeometry& g = shape.g;
  const auto begin = [](std::int64_t o, std::int64_t in, std::int64_t out) { return o * in / out; };
  const auto end = [](std::int64_t o, std::int64_t in, std::int64_t out) {
    return ((o + 1) * in + out - 1) / out;
  };
  for (std::int64_t n = 0; n < shape.rows; ++n)
    for (std::int64_t oh = 0; oh < g.out_h; ++oh)
      for (std::int64_t ow = 0; ow < g.out_w; ++ow)
        for (std::int64_t h = begin(oh, g.in_h, g.out_h); h < end(oh, g.in_h, g.out_h); ++h)
          for (std::int64_t w = begin(ow, g.in_w, g.out_w); w < end(ow, g.in_w, g.out_w); ++w)
            for (std::int64_t c = 0; c < g.channels; ++c)
              visit(static_cast<std::size_t>(((n * g.out_h + oh) * g.out_w + ow) * g.channels + c),
                    h * g.in_w + w,
                    static_cast<std::size_t>(((n * g.in_h + h) * g.in_w + w) * g.channels + c));
}

Doubles window_sizes(const AdaptiveShape& shape) {
  Doubles sizes(static_cast<std::size_t>(shape.y().elements()));
  for_each_place(shape, [&](std::size_t yi, std::int64_t, std::size_t) { sizes[yi] += 1; });
  return sizes;
}

Reals avg_forward(const AdaptiveShape& shape, const Doubles& x) {
  Reals y(static_cast<std::size_t>(shape.y().elements()));
  const Doubles sizes = window_sizes(shape);
  for_each_place(shape, [&](std::size_t yi, std::int64_t, std::size_t xi) {
    y[yi] += Real(x[xi]) / sizes[yi];
  });
  return y;
}

OpCase common(const AdaptiveShape& shape, const std::string& operation, double tolerance) {
  OpCase c;
  c.operation = operation;
  c.label = shape.label();
  c.tolerance = tolerance;
  c.bytes = 4.0 * static_cast<double>(shape.x().elements() + shape.y().elements());
  c.use = shape.x().elements() > 50'000 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase max_forward_case(const AdaptiveShape& shape, const Fill& fill, const std::string& what) {
  OpCase c = common(shape, "adaptive_max_pool_forward", 0);
  c.label += what;
  set_max_forward(shape, fill, "place", DType::kInt64, c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.adaptive_max_pool_forward(s, shape.g, t["x"], t["y"], t["place"]);
  };
  return c;
}

OpCase max_backward_case(const AdaptiveShape& shape) {
  OpCase c = common(shape, "adaptive_max_pool_backward", 16);
  set_max_backward(shape, "place", DType::kInt64, c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.adaptive_max_pool_backward(s, shape.g, t["dy"], t["place"], t["dx"]);
  };
  return c;
}

OpCase avg_forward_case(const AdaptiveShape& shape) {
  OpCase c = common(shape, "adaptive_avg_pool_forward", 32);
  c.arguments = {input("x", shape.x()), output("y", shape.y())};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.adaptive_avg_pool_forward(s, shape.g, t["x"], t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) { out["y"] = avg_forward(shape, in["x"]); };
  return c;
}

OpCase avg_backward_case(const AdaptiveShape& shape) {
  OpCase c = common(shape, "adaptive_avg_pool_backward", 16);
  c.arguments = {hidden("x", shape.x()), input("dy", shape.y()), output("dx", shape.x())};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.adaptive_avg_pool_backward(s, shape.g, t["dy"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Doubles sizes = window_sizes(shape);
    for_each_place(shape, [&, &dx = out["dx"]](std::size_t yi, std::int64_t, std::size_t xi) {
      dx[xi] += Real(in["dy"][yi]) / sizes[yi];
    });
  };
  c.derivatives = {
      {"dx", "x", [=](const Values& in) { return dot(in["dy"], avg_forward(shape, in["x"])); }}};
  return c;
}

}  // namespace

OpCases adaptive_pool_cases() {
  OpCases cases;
  for (const AdaptiveShape& shape : {AdaptiveShape{8, {14, 14, 64, 7, 7}},
                                     {2, {13, 7, 33, 5, 3}},
                                     {3, {5, 6, 7, 1, 1}},
                                     {1, {1, 1, 1, 1, 1}},
                                     {0, {4, 4, 3, 2, 2}},
                                     {2, {3, 2, 5, 7, 4}},    // more outputs than inputs
                                     {1, {20, 30, 3, 1, 2}},  // windows beyond 255 places
                                     {2, {10, 11, 16, 4, 11}}}) {
    cases.push_back(max_forward_case(shape, normal(), ""));
    cases.push_back(max_backward_case(shape));
    cases.push_back(avg_forward_case(shape));
    cases.push_back(avg_backward_case(shape));
  }
  cases.push_back(max_forward_case({3, {9, 8, 17, 4, 3}}, labels(3), " many equals"));
  return cases;
}

}  // namespace lockstep::cases
