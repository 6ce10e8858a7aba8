// Maxout over pieces of the last axis, and columns of one tensor as another.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct Pieces {
  Shape rows;  // all axes but the last
  std::int64_t pieces, channels;

  Shape with(std::int64_t last) const {
    std::vector<std::int64_t> sizes(rows.sizes().begin(), rows.sizes().end());
    sizes.push_back(last);
    return Shape(std::span<const std::int64_t>(sizes));
  }
  Shape x() const { return with(pieces * channels); }
  Shape y() const { return with(channels); }
  std::string label() const { return fmt::format("{} of {}", x().to_string(), pieces); }
};

struct Maxima {
  Doubles value, piece;
};

Maxima maxima(const Pieces& p, const Doubles& x) {
  const auto channels = static_cast<std::size_t>(p.channels);
  const auto pieces = static_cast<std::size_t>(p.pieces);
  Maxima y{Doubles(x.size() / pieces), Doubles(x.size() / pieces)};
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    const std::size_t first = i / channels * channels * pieces + i % channels;
    y.value[i] = x[first];
    for (std::size_t k = 1; k < pieces; ++k) {
      if (!(x[first + k * channels] > y.value[i])) continue;
      y.value[i] = x[first + k * channels];
      y.piece[i] = static_cast<double>(k);
    }
  }
  return y;
}

// Where in x output i's winner stands.
std::size_t source(const Pieces& p, const Maxima& y, std::size_t i) {
  const auto channels = static_cast<std::size_t>(p.channels);
  return (i / channels * static_cast<std::size_t>(p.pieces) +
          static_cast<std::size_t>(y.piece[i])) *
             channels +
         i % channels;
}

OpCase forward_case(const Pieces& p, const Fill& fill, const std::string& what) {
  OpCase c;
  c.operation = "maxout_forward";
  c.label = p.label() + what;
  c.bytes = static_cast<double>(4 * p.x().elements() + 5 * p.y().elements());
  c.use = p.x().elements() > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {input("x", p.x(), fill), output("y", p.y()),
                 output("piece", p.y(), DType::kUInt8)};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.maxout_forward(s, p.pieces, t["x"], t["y"], t["piece"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Maxima y = maxima(p, in["x"]);
    out["y"].assign(y.value.begin(), y.value.end());
    out["piece"].assign(y.piece.begin(), y.piece.end());
  };
  return c;
}

OpCase backward_case(const Pieces& p) {
  OpCase c;
  c.operation = "maxout_backward";
  c.label = p.label();
  c.tolerance = 0;
  c.bytes = static_cast<double>(4 * p.x().elements() + 5 * p.y().elements());
  c.use = p.x().elements() > 50'000 ? Use::kBoth : Use::kTest;
  const Fill winners = [=](Random&, const Values& earlier, Doubles& values) {
    values = maxima(p, earlier["x"]).piece;
  };
  c.arguments = {hidden("x", p.x()), input("dy", p.y()),
                 input("piece", p.y(), winners, DType::kUInt8), output("dx", p.x())};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.maxout_backward(s, p.pieces, t["dy"], t["piece"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Maxima y = maxima(p, in["x"]);
    for (std::size_t i = 0; i < y.value.size(); ++i) out["dx"][source(p, y, i)] = in["dy"][i];
  };
  const auto kink = [=](const Values& in, std::size_t index, double reach) {
    // A second place within reach of the winner of its output.
    const Maxima y = maxima(p, in["x"]);
    const auto channels = static_cast<std::size_t>(p.channels);
    const auto pieces = static_cast<std::size_t>(p.pieces);
    const std::size_t i = index / (channels * pieces) * channels + index % channels;
    const std::size_t winner = source(p, y, i), first = i / channels * channels * pieces;
    for (std::size_t k = 0; k < pieces; ++k) {
      const std::size_t other = first + k * channels + i % channels;
      if (other != winner && y.value[i] - in["x"][other] <= reach) return true;
    }
    return false;
  };
  c.derivatives = {{"dx", "x",
                    [=](const Values& in) {
                      const Maxima y = maxima(p, in["x"]);
                      return dot(in["dy"], Reals(y.value.begin(), y.value.end()));
                    },
                    kink}};
  return c;
}

struct Cut {  // columns [first, first + narrow) of `wide`
  std::int64_t rows, wide, first, narrow;

  std::string label() const {
    return fmt::format("{}x{} columns {} to {}", rows, wide, first, first + narrow);
  }
  template <typename Visit>
  void for_each(Visit visit) const {  // visit(index in narrow, index in wide)
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t c = 0; c < narrow; ++c)
        visit(static_cast<std::size_t>(row * narrow + c),
              static_cast<std::size_t>(row * wide + first + c));
  }
};

OpCase columns_case(const Cut& cut, bool write) {
  OpCase c;
  c.operation = write ? "write_columns" : "read_columns";
  c.label = cut.label();
  c.bytes = 8.0 * static_cast<double>(cut.rows * cut.narrow);
  c.use = cut.rows * cut.narrow > 50'000 ? Use::kBoth : Use::kTest;
  const Shape wide = {cut.rows, cut.wide}, narrow = {cut.rows, cut.narrow};
  if (write)
    c.arguments = {input("narrow", narrow), state("wide", wide)};  // the other columns stay
  else
    c.arguments = {input("wide", wide), output("narrow", narrow)};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    if (write)
      b.write_columns(s, cut.first, t["narrow"], t["wide"]);
    else
      b.read_columns(s, cut.first, t["wide"], t["narrow"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    if (write) out["wide"].assign(in["wide"].begin(), in["wide"].end());
    cut.for_each([&](std::size_t n, std::size_t w) {
      if (write)
        out["wide"][w] = in["narrow"][n];
      else
        out["narrow"][n] = in["wide"][w];
    });
  };
  return c;
}

}  // namespace

OpCases columns_cases() {
  OpCases cases;
  for (const Pieces& p : {Pieces{{100}, 2, 128},
                          {{1}, 1, 1},
                          {{0}, 3, 5},
                          {{13}, 3, 7},
                          {{2, 3, 3}, 4, 17},
                          {{5}, 255, 3},
                          {{512}, 4, 128}}) {
    cases.push_back(forward_case(p, normal(), ""));
    cases.push_back(backward_case(p));
  }
  cases.push_back(forward_case({{9}, 5, 33}, labels(3), " many equals"));
  for (const Cut& cut : {Cut{7, 10, 0, 10},
                         {5, 9, 2, 3},
                         {1, 1, 0, 1},
                         {0, 4, 1, 2},
                         {33, 100, 67, 33},
                         {4096, 128, 64, 32}})
    for (const bool write : {true, false}) cases.push_back(columns_case(cut, write));
  return cases;
}

}  // namespace lockstep::cases
