// Pooling: max (PyTorch's: padding never wins; the first of equals does), average (padding counts
// as zero or not at all) and the average over the whole image.
#include "kernels/cases/max_pool.h"
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct PoolShape {
  std::int64_t rows;
  PoolGeometry g;

  Shape x() const { return {rows, g.in_h, g.in_w, g.channels}; }
  Shape y() const { return {rows, g.out_h(), g.out_w(), g.channels}; }
  std::string label() const {
    return fmt::format("{}x{}x{}x{} window {}x{} stride {}x{} pad {}x{}{}", rows, g.in_h, g.in_w,
                       g.channels, g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.pad_h, g.pad_w,
                       g.count_include_pad ? "" : " padding not counted");
  }
};

// visit(index in y, place in the window, index in x) for every place inside the image.
template <typename Visit>
void for_each_place(const PoolShape& shape, Visit visit) {
  const PoolGeometry& g = shape.g;
  for (std::int64_t n = 0; n < shape.rows; ++n)
    for (std::int64_t oh = 0; oh < g.out_h(); ++oh)
      for (std::int64_t ow = 0; ow < g.out_w(); ++ow)
        for (std::int64_t c = 0; c < g.channels; ++c)
          for (std::int64_t place = 0; place < g.kernel_h * g.kernel_w; ++place) {
            const std::int64_t ih = oh * g.stride_h - g.pad_h + place / g.kernel_w;
            const std::int64_t iw = ow * g.stride_w - g.pad_w + place % g.kernel_w;
            if (ih < 0 || ih >= g.in_h || iw < 0 || iw >= g.in_w) continue;
            visit(
                static_cast<std::size_t>(((n * g.out_h() + oh) * g.out_w() + ow) * g.channels + c),
                place,
                static_cast<std::size_t>(((n * g.in_h + ih) * g.in_w + iw) * g.channels + c));
          }
}

void count_places(const PoolShape& shape, Doubles& counts) {
  for_each_place(shape, [&](std::size_t yi, std::int64_t, std::size_t) { counts[yi] += 1; });
  if (shape.g.count_include_pad)
    counts.assign(counts.size(), static_cast<double>(shape.g.kernel_h * shape.g.kernel_w));
}

Reals avg_forward(const PoolShape& shape, const Doubles& x) {
  Reals y(static_cast<std::size_t>(shape.y().elements()));
  Doubles counts(y.size());
  count_places(shape, counts);
  for_each_place(shape, [&](std::size_t yi, std::int64_t, std::size_t xi) {
    y[yi] += Real(x[xi]) / counts[yi];
  });
  return y;
}

OpCase common(const PoolShape& shape, const std::string& operation, double tolerance) {
  OpCase c;
  c.operation = operation;
  c.label = shape.label();
  c.tolerance = tolerance;
  c.bytes = 4.0 * static_cast<double>(shape.x().elements() + shape.y().elements());
  c.use = shape.x().elements() > 50'000 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase max_forward_case(const PoolShape& shape, const Fill& fill, const std::string& what) {
  OpCase c = common(shape, "max_pool_forward", 0);
  c.label += what;
  set_max_forward(shape, fill, "argmax", DType::kUInt8, c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.max_pool_forward(s, shape.g, t["x"], t["y"], t["argmax"]);
  };
  return c;
}

OpCase max_backward_case(const PoolShape& shape) {
  OpCase c = common(shape, "max_pool_backward", 8);
  c.bytes += static_cast<double>(shape.y().elements());
  set_max_backward(shape, "argmax", DType::kUInt8, c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.max_pool_backward(s, shape.g, t["dy"], t["argmax"], t["dx"]);
  };
  return c;
}

OpCase avg_forward_case(const PoolShape& shape) {
  OpCase c = common(shape, "avg_pool_forward", 16);
  c.arguments = {input("x", shape.x()), output("y", shape.y())};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.avg_pool_forward(s, shape.g, t["x"], t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) { out["y"] = avg_forward(shape, in["x"]); };
  return c;
}

OpCase avg_backward_case(const PoolShape& shape) {
  OpCase c = common(shape, "avg_pool_backward", 16);
  c.arguments = {hidden("x", shape.x()), input("dy", shape.y()), output("dx", shape.x())};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.avg_pool_backward(s, shape.g, t["dy"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    Doubles counts(in["dy"].size());
    count_places(shape, counts);
    for_each_place(shape, [&, &dx = out["dx"]](std::size_t yi, std::int64_t, std::size_t xi) {
      dx[xi] += Real(in["dy"][yi]) / counts[yi];
    });
  };
  c.derivatives = {
      {"dx", "x", [=](const Values& in) { return dot(in["dy"], avg_forward(shape, in["x"])); }}};
  return c;
}

PoolShape whole_image(std::int64_t rows, std::int64_t h, std::int64_t w, std::int64_t channels) {
  return {rows,
          {.in_h = h,
           .in_w = w,
           .channels = channels,
           .kernel_h = h,
           .kernel_w = w,
           .stride_h = 1,
           .stride_w = 1}};
}

void add_global(const PoolShape& shape, OpCases& cases) {
  OpCase forward = avg_forward_case(shape), backward = avg_backward_case(shape);
  forward.operation = "global_avg_pool_forward";
  backward.operation = "global_avg_pool_backward";
  const Shape y = {shape.rows, shape.g.channels};
  forward.arguments[1].shape = backward.arguments[1].shape = y;
  forward.run = [](Backend& b, Stream& s, Tensors& t) {
    b.global_avg_pool_forward(s, t["x"], t["y"]);
  };
  backward.run = [](Backend& b, Stream& s, Tensors& t) {
    b.global_avg_pool_backward(s, t["dy"], t["dx"]);
  };
  cases.push_back(forward);
  cases.push_back(backward);
}

}  // namespace

OpCases pool_cases() {
  OpCases cases;
  for (PoolShape shape : {PoolShape{16, {.in_h = 28, .in_w = 28, .channels = 16}},
                          {2, {.in_h = 14, .in_w = 14, .channels = 32}},
                          {1, {.in_h = 2, .in_w = 2, .channels = 1}},
                          {0, {.in_h = 4, .in_w = 4, .channels = 3}},
                          {3, {.in_h = 7, .in_w = 9, .channels = 13}},
                          {2,
                           {.in_h = 13,
                           .in_w = 7,
                           .channels = 33,
                           .kernel_h = 3,
                           .kernel_w = 3,
                           .stride_h = 2,
                           .stride_w = 2,
                           .pad_h = 1,
                           .pad_w = 1}},
                          {1,
                           {.in_h = 6,
                           .in_w = 8,
                           .channels = 100,
                           .kernel_h = 3,
                           .kernel_w = 2,
                           .stride_h = 1,
                           .stride_w = 1,
                           .pad_h = 1,
                           .pad_w = 0}},
                          {2,
                           {.in_h = 10,
                           .in_w = 11,
                           .channels = 7,
                           .kernel_h = 2,
                           .kernel_w = 2,
                           .stride_h = 3,
                           .stride_w = 4}}}) {
    cases.push_back(max_forward_case(shape, normal(), ""));
    cases.push_back(max_backward_case(shape));
    cases.push_back(avg_forward_case(shape));
    cases.push_back(avg_backward_case(shape));
    if (shape.g.pad_h == 0) continue;
    shape.g.count_include_pad = false;
    cases.push_back(avg_forward_case(shape));
    cases.push_back(avg_backward_case(shape));
  }
  const PoolShape ties{3,
                       {.in_h = 6,
                        .in_w = 6,
                        .channels = 17,
                        .kernel_h = 3,
                        .kernel_w = 3,
                        .stride_h = 2,
                        .stride_w = 2,
                        .pad_h = 1,
                        .pad_w = 1}};
  cases.push_back(max_forward_case(ties, labels(3), " many equals"));
  cases.push_back(max_forward_case(ties, uniform(-2, -1),
                                   " all negative, which padding's zeros must not beat"));
  for (const PoolShape& shape : {whole_image(4, 7, 7, 512), whole_image(1, 1, 1, 1),
                                 whole_image(0, 3, 3, 4), whole_image(3, 13, 11, 33)})
    add_global(shape, cases);
  return cases;
}

}  // namespace lockstep::cases
