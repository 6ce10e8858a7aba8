// Channels times one factor a sample, as squeeze-and-excitation and layer scale have them.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

// Elements of one sample, and the place of an element's factor.
struct Places {
  std::size_t width, channels;
  explicit Places(const Shape& x)
      : width(static_cast<std::size_t>(x.without_rows().elements())),
        channels(static_cast<std::size_t>(x.back())) {}
  std::size_t factor(std::size_t i) const { return i / width * channels + i % channels; }
};

Reals scaled(const Values& in, const std::string& x, const Places& places, bool shifted) {
  Reals y(in[x].size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = Real(in[x][i]) * Real(in["factor"][places.factor(i)]);
    if (shifted) y[i] += in["shift"][places.factor(i)];
  }
  return y;
}

OpCase forward_case(const Shape& shape, bool shifted) {
  const Places places(shape);
  const Shape factors{shape[0], shape.back()};
  OpCase c;
  c.operation = "scale_channels";
  c.label = shape.to_string() + (shifted ? " shifted" : "");
  c.tolerance = 2;
  c.bytes = 8.0 * static_cast<double>(shape.elements());
  c.use = shape.elements() > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {input("x", shape), input("factor", factors)};
  if (shifted) c.arguments.push_back(input("shift", factors));
  c.arguments.push_back(output("y", shape));
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.scale_channels(s, t["x"], t["factor"], shifted ? t["shift"] : Tensor(), t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    out["y"] = scaled(in, "x", places, shifted);
  };
  c.in_place = {{"y", "x"}};
  return c;
}

OpCase backward_case(const Shape& shape) {
  const Places places(shape);
  const Shape factors{shape[0], shape.back()};
  OpCase c = forward_case(shape, false);
  c.operation = "scale_channels_backward";
  c.tolerance = 16;
  c.arguments = {input("x", shape), input("dy", shape), hidden("factor", factors),
                 output("dfactor", factors)};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.scale_channels_backward(s, t["x"], t["dy"], t["dfactor"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i)
      out["dfactor"][places.factor(i)] += Real(in["dy"][i]) * Real(in["x"][i]);
  };
  c.derivatives = {{"dfactor", "factor", [=](const Values& in) {
                      return dot(in["dy"], scaled(in, "x", places, false));
                    }}};
  c.in_place = {};
  return c;
}

}  // namespace

OpCases scale_channels_cases() {
  OpCases cases;
  for (const Shape& shape : {Shape{1, 1},
                             {0, 3, 7},
                             {2, 0, 5},
                             {3, 7},
                             {2, 5, 4, 3},
                             {3, 13, 33},
                             {2, 150, 17},
                             {1, 9, 9, 64},
                             {8, 28, 28, 40}}) {
    for (const bool shifted : {false, true}) cases.push_back(forward_case(shape, shifted));
    cases.push_back(backward_case(shape));
  }
  return cases;
}

}  // namespace lockstep::cases
