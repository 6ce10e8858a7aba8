// Cells of recurrent layers: an LSTM's and a GRU's step, with torch.nn.LSTM's and GRU's formulas.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

struct CellShape {
  std::int64_t rows, hidden;

  Shape state() const { return {rows, hidden}; }
  Shape gates(std::int64_t count) const { return {rows, count * hidden}; }
};

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

// visit(state's element, function of a gate's number that gives the gate's element) for each
// element of the state.
template <typename Visit>
void for_each_unit(const CellShape& shape, std::int64_t gates, Visit visit) {
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t unit = 0; unit < shape.hidden; ++unit) {
      visit(static_cast<std::size_t>(row * shape.hidden + unit), [=](std::int64_t gate) {
        return static_cast<std::size_t>((row * gates + gate) * shape.hidden + unit);
      });
    }
  }
}

struct LstmStep {
  Doubles gates, c, h;
};

// i, f, o = sigmoid(x + h), g = tanh(x + h); c = f c_before + i g; h = o tanh(c)
LstmStep lstm(const CellShape& shape, const Doubles& sums, const Doubles& c_before) {
  LstmStep step{Doubles(sums.size()), Doubles(c_before.size()), Doubles(c_before.size())};
  for_each_unit(shape, 4, [&](std::size_t unit, const auto& gate) {
    for (const int k : {0, 1, 3}) step.gates[gate(k)] = sigmoid(sums[gate(k)]);
    step.gates[gate(2)] = std::tanh(sums[gate(2)]);
    step.c[unit] = step.gates[gate(1)] * c_before[unit] + step.gates[gate(0)] * step.gates[gate(2)];
    step.h[unit] = step.gates[gate(3)] * std::tanh(step.c[unit]);
  });
  return step;
}

struct GruStep {
  Doubles gates, h;
};

// r, z = sigmoid(x + h); n = tanh(x_n + r h_n); h = (1 - z) n + z h_before
GruStep gru(const CellShape& shape, const Doubles& x, const Doubles& h, const Doubles& h_before) {
  GruStep step{Doubles(x.size()), Doubles(h_before.size())};
  for_each_unit(shape, 3, [&](std::size_t unit, const auto& gate) {
    for (const int k : {0, 1}) step.gates[gate(k)] = sigmoid(x[gate(k)] + h[gate(k)]);
    const double n = std::tanh(x[gate(2)] + step.gates[gate(0)] * h[gate(2)]);
    const double z = step.gates[gate(1)];
    step.gates[gate(2)] = n;
    step.h[unit] = (1 - z) * n + z * h_before[unit];
  });
  return step;
}

Doubles sum_of(const Doubles& a, const Doubles& b) {
  Doubles sum(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) sum[i] = a[i] + b[i];
  return sum;
}

OpCase common(const CellShape& shape, const std::string& operation, double tensors) {
  OpCase c;
  c.operation = operation;
  c.label = fmt::format("{}x{}", shape.rows, shape.hidden);
  c.tolerance = 16;
  c.bytes = 4.0 * tensors * static_cast<double>(shape.rows * shape.hidden);
  c.use = shape.rows * shape.hidden > 500 ? Use::kBoth : Use::kTest;
  return c;
}

// Values whose rounding errors are those of the sums that they are made from.
Reals with_magnitude(const Doubles& values, double magnitude) {
  Reals reals(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    reals[i] = {values[i], std::fabs(values[i]) + magnitude};
  return reals;
}

OpCase lstm_forward_case(const CellShape& shape) {
  OpCase c = common(shape, "lstm_cell_forward", 15);
  c.arguments = {input("gates_x", shape.gates(4)), input("gates_h", shape.gates(4)),
                 input("c_before", shape.state()), output("gates", shape.gates(4)),
                 output("c", shape.state()),       output("h", shape.state())};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.lstm_cell_forward(s, t["gates_x"], t["gates_h"], t["c_before"], t["gates"], t["c"], t["h"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const LstmStep step = lstm(shape, sum_of(in["gates_x"], in["gates_h"]), in["c_before"]);
    out["gates"] = with_magnitude(step.gates, 1);
    out["c"] = with_magnitude(step.c, 2);
    out["h"] = with_magnitude(step.h, 2);
  };
  c.in_place = {{"gates", "gates_x"}};
  return c;
}

OpCase lstm_backward_case(const CellShape& shape) {
  OpCase c = common(shape, "lstm_cell_backward", 13);
  const Fill gates = [=](Random&, const Values& earlier, Doubles& values) {
    values = lstm(shape, earlier["sums"], earlier["c_before"]).gates;
  };
  const Fill cells = [=](Random&, const Values& earlier, Doubles& values) {
    values = lstm(shape, earlier["sums"], earlier["c_before"]).c;
  };
  c.arguments = {hidden("sums", shape.gates(4)),
                 input("c_before", shape.state()),
                 input("gates", shape.gates(4), gates),
                 input("c", shape.state(), cells),
                 input("dh", shape.state()),
                 input("dc", shape.state()),
                 output("dgates", shape.gates(4)),
                 output("dc_before", shape.state())};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.lstm_cell_backward(s, t["gates"], t["c_before"], t["c"], t["dh"], t["dc"], t["dgates"],
                         t["dc_before"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Doubles& g = in["gates"];
    for_each_unit(shape, 4, [&](std::size_t unit, const auto& gate) {
      const Real dh = in["dh"][unit], squashed = std::tanh(in["c"][unit]);
      const Real i = g[gate(0)], f = g[gate(1)], n = g[gate(2)], o = g[gate(3)];
      const auto sigmoid_slope = [](const Real& y) { return y * (Real(1) - y); };
      const auto tanh_slope = [](const Real& y) { return Real(1) - y * y; };
      const Real dc = Real(in["dc"][unit]) + dh * o * tanh_slope(squashed);
      out["dgates"][gate(0)] = dc * n * sigmoid_slope(i);
      out["dgates"][gate(1)] = dc * in["c_before"][unit] * sigmoid_slope(f);
      out["dgates"][gate(2)] = dc * i * tanh_slope(n);
      out["dgates"][gate(3)] = dh * squashed * sigmoid_slope(o);
      out["dc_before"][unit] = dc * f;
    });
  };
  const auto objective = [=](const Values& in) {
    const LstmStep step = lstm(shape, in["sums"], in["c_before"]);
    double sum = 0;
    for (std::size_t i = 0; i < step.c.size(); ++i)
      sum += in["dh"][i] * step.h[i] + in["dc"][i] * step.c[i];
    return sum;
  };
  c.derivatives = {{"dgates", "sums", objective}, {"dc_before", "c_before", objective}};
  c.in_place = {{"dgates", "gates"}, {"dc_before", "dc"}};
  return c;
}

OpCase gru_forward_case(const CellShape& shape) {
  OpCase c = common(shape, "gru_cell_forward", 11);
  c.arguments = {input("gates_x", shape.gates(3)), input("gates_h", shape.gates(3)),
                 input("h_before", shape.state()), output("gates", shape.gates(3)),
                 output("h", shape.state())};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.gru_cell_forward(s, t["gates_x"], t["gates_h"], t["h_before"], t["gates"], t["h"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const GruStep step = gru(shape, in["gates_x"], in["gates_h"], in["h_before"]);
    out["gates"] = with_magnitude(step.gates, 1);
    out["h"] = with_magnitude(step.h, 2);
  };
  c.in_place = {{"gates", "gates_x"}};
  return c;
}

OpCase gru_backward_case(const CellShape& shape) {
  OpCase c = common(shape, "gru_cell_backward", 15);
  const Fill gates = [=](Random&, const Values& earlier, Doubles& values) {
    values = gru(shape, earlier["gates_x"], earlier["gates_h"], earlier["h_before"]).gates;
  };
  c.arguments = {hidden("gates_x", shape.gates(3)),  input("gates_h", shape.gates(3)),
                 input("h_before", shape.state()),   input("gates", shape.gates(3), gates),
                 input("dh", shape.state()),         output("dgates_x", shape.gates(3)),
                 output("dgates_h", shape.gates(3)), output("dh_before", shape.state())};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.gru_cell_backward(s, t["gates"], t["gates_h"], t["h_before"], t["dh"], t["dgates_x"],
                        t["dgates_h"], t["dh_before"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const Doubles& g = in["gates"];
    for_each_unit(shape, 3, [&](std::size_t unit, const auto& gate) {
      const Real r = g[gate(0)], z = g[gate(1)], n = g[gate(2)], dh = in["dh"][unit];
      const Real dz = dh * (Real(in["h_before"][unit]) - n) * z * (Real(1) - z);
      const Real dn = dh * (Real(1) - z) * (Real(1) - n * n);
      const Real dr = dn * in["gates_h"][gate(2)] * r * (Real(1) - r);
      out["dgates_x"][gate(0)] = out["dgates_h"][gate(0)] = dr;
      out["dgates_x"][gate(1)] = out["dgates_h"][gate(1)] = dz;
      out["dgates_x"][gate(2)] = dn;
      out["dgates_h"][gate(2)] = dn * r;
      out["dh_before"][unit] = dh * z;
    });
  };
  const auto objective = [=](const Values& in) {
    const GruStep step = gru(shape, in["gates_x"], in["gates_h"], in["h_before"]);
    double sum = 0;
    for (std::size_t i = 0; i < step.h.size(); ++i) sum += in["dh"][i] * step.h[i];
    return sum;
  };
  c.derivatives = {{"dgates_x", "gates_x", objective},
                   {"dgates_h", "gates_h", objective},
                   {"dh_before", "h_before", objective}};
  c.in_place = {{"dgates_x", "gates"}, {"dgates_h", "gates_h"}};
  return c;
}

}  // namespace

OpCases recurrent_cases() {
  OpCases cases;
  for (const CellShape& shape :
       {CellShape{1, 1}, {0, 4}, {3, 5}, {2, 16}, {5, 33}, {1, 100}, {8, 128}}) {
    cases.push_back(lstm_forward_case(shape));
    cases.push_back(lstm_backward_case(shape));
    cases.push_back(gru_forward_case(shape));
    cases.push_back(gru_backward_case(shape));
  }
  return cases;
}

}  // namespace lockstep::cases
