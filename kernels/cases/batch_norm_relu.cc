// Batch norm with what commonly follows it: a residual, a ReLU, a max pooling. Masks and places of
// maxima that arrive in backward are any, so that no case depends on a number next to a kink.
#include <limits>

#include "kernels/cases/batch_norm_reference.h"
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

Real relu(const Real& x) {
  return {std::max(0.0, x.value), x.magnitude};
}

Argument bytes(const std::string& name, const Shape& shape) {
  Argument argument = scratch(name, [=](Backend&) { return shape.elements(); });
  argument.type = DType::kUInt8;
  return argument;
}

Shape mask_shape(Shape shape) {
  return {shape.elements() / shape.back(), relu_mask_bytes(shape.back())};
}

bool passes(const Doubles& mask, std::size_t index, std::size_t channels) {
  const std::size_t row = index / channels, c = index % channels;
  const auto row_bytes =
      static_cast<std::size_t>(relu_mask_bytes(static_cast<std::int64_t>(channels)));
  const auto byte = static_cast<unsigned>(mask[row * row_bytes + c / 8]);
  return (byte >> c % 8 & 1) != 0;
}

Doubles masked(const Values& in, std::size_t channels) {
  Doubles dy = in["dy"];
  for (std::size_t i = 0; i < dy.size(); ++i)
    if (!passes(in["mask"], i, channels)) dy[i] = 0;
  return dy;
}

OpCase forward_case(const Shape& shape, bool residual) {
  OpCase c = batch_norm_case(shape, "batch_norm_relu_forward", residual ? 4 : 3);
  if (residual) c.label += " residual";
  c.arguments = forward_arguments(shape, shape);
  c.arguments.push_back(bytes("mask", mask_shape(shape)));
  if (residual) c.arguments.push_back(input("residual", shape));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_relu_forward(s, {}, t["x"], t["gamma"], t["beta"],
                              residual ? t["residual"] : Tensor(), t["y"], t["mask"],
                              t["saved_mean"], t["saved_inv_std"], t["stat_mean"], t["stat_var"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    forward_statistics(in, shape, out);
    out["y"] = batch_norm(in, channels_of(shape));
    for (std::size_t i = 0; i < out["y"].size(); ++i)
      out["y"][i] = relu(residual ? out["y"][i] + Real(in["residual"][i]) : out["y"][i]);
  };
  return c;
}

OpCase inference_case(const Shape& shape, bool residual) {
  OpCase c = batch_norm_case(shape, "batch_norm_relu_inference", residual ? 3 : 2);
  if (residual) c.label += " residual";
  c.arguments = inference_arguments(shape, shape);
  if (residual) c.arguments.push_back(input("residual", shape));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_relu_inference(s, {}, t["x"], t["gamma"], t["beta"], t["mean"], t["var"],
                                residual ? t["residual"] : Tensor(), t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    out["y"] = batch_norm_inference(in);
    for (std::size_t i = 0; i < out["y"].size(); ++i)
      out["y"][i] = relu(residual ? out["y"][i] + Real(in["residual"][i]) : out["y"][i]);
  };
  return c;
}

OpCase backward_case(const Shape& shape, bool residual) {
  OpCase c = batch_norm_case(shape, "batch_norm_relu_backward", residual ? 6 : 5);
  if (residual) c.label += " residual";
  const std::size_t channels = channels_of(shape);
  c.arguments = backward_arguments(shape);
  c.arguments.push_back(input("dy", shape));
  const Fill any_bits = [](Random& random, const Values&, Doubles& values) {
    for (double& value : values) value = random.word() & 255;
  };
  c.arguments.push_back(input("mask", mask_shape(shape), any_bits, DType::kUInt8));
  if (residual) {
    c.arguments.push_back(hidden("residual", shape));
    c.arguments.push_back(output("dresidual", shape));
    c.in_place = {{"dresidual", "dy"}};
  } else {
    c.in_place = {{"dx", "dy"}};
  }
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    b.batch_norm_relu_backward(s, t["x"], t["dy"], t["mask"], t["gamma"], t["saved_mean"],
                               t["saved_inv_std"], t["dgamma"], t["dbeta"], t["dx"],
                               residual ? t["dresidual"] : none);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Doubles dy = masked(in, channels);
    batch_norm_gradients(in, dy, channels, out);
    if (residual) out["dresidual"].assign(dy.begin(), dy.end());
  };
  const auto objective = [=](const Values& in) {
    const Doubles dy = masked(in, channels);
    const double sum = dot(dy, batch_norm(in, channels));
    return residual ? sum + dot(dy, Reals(in["residual"].begin(), in["residual"].end())) : sum;
  };
  c.derivatives = batch_norm_derivatives(objective);
  if (residual) c.derivatives.push_back({"dresidual", "residual", objective});
  return c;
}

// ---- with a max pooling

struct PooledShape {
  std::int64_t rows;
  PoolGeometry g;

  Shape x() const { return {rows, g.in_h, g.in_w, g.channels}; }
  Shape y() const { return {rows, g.out_h(), g.out_w(), g.channels}; }
  std::string label() const {
    return fmt::format("{} window {}x{} stride {}x{} pad {}x{}", x().to_string(), g.kernel_h,
                       g.kernel_w, g.stride_h, g.stride_w, g.pad_h, g.pad_w);
  }
  // Of place `place` of the window of y's element `index`: its index in x, or -1 outside.
  std::int64_t source(std::int64_t index, std::int64_t place) const {
    const std::int64_t c = index % g.channels, ow = index / g.channels % g.out_w(),
                       oh = index / g.channels / g.out_w() % g.out_h(),
                       n = index / g.channels / g.out_w() / g.out_h();
    const std::int64_t ih = oh * g.stride_h - g.pad_h + place / g.kernel_w;
    const std::int64_t iw = ow * g.stride_w - g.pad_w + place % g.kernel_w;
    if (ih < 0 || ih >= g.in_h || iw < 0 || iw >= g.in_w) return -1;
    return ((n * g.in_h + ih) * g.in_w + iw) * g.channels + c;
  }
};

Reals pooled(const PooledShape& shape, const Reals& x) {
  Reals y(static_cast<std::size_t>(shape.y().elements()), Real(0, 0));  // a ReLU's least
  for (std::size_t i = 0; i < y.size(); ++i)
    for (std::int64_t place = 0; place < shape.g.kernel_h * shape.g.kernel_w; ++place) {
      const std::int64_t from = shape.source(static_cast<std::int64_t>(i), place);
      if (from < 0) continue;
      const Real& value = x[static_cast<std::size_t>(from)];
      y[i] = {std::max(y[i].value, value.value), std::max(y[i].magnitude, value.magnitude)};
    }
  return y;
}

OpCase pool_forward_case(const PooledShape& shape) {
  OpCase c = batch_norm_case(shape.x(), "batch_norm_relu_max_pool_forward", 1);
  c.label = shape.label();
  c.bytes += 4.0 * static_cast<double>(shape.y().elements());
  c.arguments = forward_arguments(shape.x(), shape.y());
  c.arguments.push_back(bytes("argmax", shape.y()));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_relu_max_pool_forward(s, {}, shape.g, t["x"], t["gamma"], t["beta"], t["y"],
                                       t["argmax"], t["saved_mean"], t["saved_inv_std"],
                                       t["stat_mean"], t["stat_var"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    forward_statistics(in, shape.x(), out);
    out["y"] = pooled(shape, batch_norm(in, channels_of(shape.x())));
  };
  return c;
}

OpCase pool_inference_case(const PooledShape& shape) {
  OpCase c = batch_norm_case(shape.x(), "batch_norm_relu_max_pool_inference", 1);
  c.label = shape.label();
  c.arguments = inference_arguments(shape.x(), shape.y());
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_relu_max_pool_inference(s, {}, shape.g, t["x"], t["gamma"], t["beta"], t["mean"],
                                         t["var"], t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    out["y"] = pooled(shape, batch_norm_inference(in));
  };
  return c;
}

// dy where y is above 0, at the places of the maxima.
Doubles unpooled(const PooledShape& shape, const Values& in) {
  Doubles d(static_cast<std::size_t>(shape.x().elements()));
  for (std::size_t i = 0; i < in["dy"].size(); ++i) {
    if (!(in["y"][i] > 0)) continue;
    const std::int64_t to =
        shape.source(static_cast<std::int64_t>(i), static_cast<std::int64_t>(in["argmax"][i]));
    d[static_cast<std::size_t>(to)] += in["dy"][i];
  }
  return d;
}

OpCase pool_backward_case(const PooledShape& shape) {
  OpCase c = batch_norm_case(shape.x(), "batch_norm_relu_max_pool_backward", 3);
  c.label = shape.label();
  c.bytes += 8.0 * static_cast<double>(shape.y().elements());
  const Fill any_places = [=](Random& random, const Values&, Doubles& values) {
    const auto places = static_cast<std::uint32_t>(shape.g.kernel_h * shape.g.kernel_w);
    for (std::size_t i = 0; i < values.size(); ++i) do {
        values[i] = random.word() % places;
      } while (shape.source(static_cast<std::int64_t>(i), static_cast<std::int64_t>(values[i])) <
               0);
  };
  c.arguments = backward_arguments(shape.x());
  c.arguments.push_back(input("y", shape.y()));
  c.arguments.push_back(input("dy", shape.y()));
  c.arguments.push_back(input("argmax", shape.y(), any_places, DType::kUInt8));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_relu_max_pool_backward(s, shape.g, t["x"], t["y"], t["dy"], t["argmax"],
                                        t["gamma"], t["saved_mean"], t["saved_inv_std"],
                                        t["dgamma"], t["dbeta"], t["dx"]);
  };
  const std::size_t channels = channels_of(shape.x());
  c.reference = [=](const Values& in, Results& out) {
    batch_norm_gradients(in, unpooled(shape, in), channels, out);
  };
  const auto objective = [=](const Values& in) {
    return dot(unpooled(shape, in), batch_norm(in, channels));
  };
  c.derivatives = batch_norm_derivatives(objective);
  return c;
}

PooledShape square(std::int64_t rows, std::int64_t size, std::int64_t channels, std::int64_t kernel,
                   std::int64_t stride, std::int64_t pad) {
  return {rows,
          {.in_h = size,
           .in_w = size,
           .channels = channels,
           .kernel_h = kernel,
           .kernel_w = kernel,
           .stride_h = stride,
           .stride_w = stride,
           .pad_h = pad,
           .pad_w = pad}};
}

}  // namespace

OpCases batch_norm_relu_cases() {
  OpCases cases;
  for (const Shape& shape :
       {Shape{4, 14, 14, 128}, {3, 7}, {13, 17}, {2, 3, 5, 31}, {129, 33}, {3, 13, 7, 100}})
    for (const bool residual : {false, true}) {
      cases.push_back(forward_case(shape, residual));
      cases.push_back(inference_case(shape, residual));
      cases.push_back(backward_case(shape, residual));
    }
  for (const PooledShape& shape :
       {square(1, 112, 64, 3, 2, 1), square(2, 9, 17, 3, 2, 1), square(1, 70, 40, 2, 2, 0),
        square(2, 71, 33, 3, 1, 1), square(3, 6, 5, 3, 3, 0), square(1, 50, 96, 3, 2, 0)}) {
    cases.push_back(pool_forward_case(shape));
    cases.push_back(pool_inference_case(shape));
    cases.push_back(pool_backward_case(shape));
  }
  return cases;
}

}  // namespace lockstep::cases
