// OpCase: one operation at one shape with one set of options. The same list serves as test against
// a double-precision reference, as gradient check and as benchmark (see op_list.h and case_run.h).
// A case names its tensors; the reference sees them as doubles by name, weights in the files'
// (PyTorch's) order, images as (N, H, W, C).
#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace lockstep::cases {

// A value with the sum of the sizes of the terms that made it: rounding errors are proportional to
// `magnitude`, also where the terms cancel, so that tolerances never depend on luck.
struct Real {
  double value = 0, magnitude = 0;

  Real() = default;
  Real(double v) : value(v), magnitude(std::fabs(v)) {}  // NOLINT: numbers convert
  Real(double v, double m) : value(v), magnitude(m) {}
  Real& operator+=(const Real& b) {
    value += b.value;
    magnitude += b.magnitude;
    return *this;
  }
};
inline Real operator+(Real a, const Real& b) {
  return a += b;
}
inline Real operator-(const Real& a, const Real& b) {
  return {a.value - b.value, a.magnitude + b.magnitude};
}
inline Real operator*(const Real& a, const Real& b) {
  return {a.value * b.value, a.magnitude * b.magnitude};
}
inline Real operator/(const Real& a, double b) {
  return {a.value / b, a.magnitude / std::fabs(b)};
}

// Things of one case by the name of the argument; an unknown name is an error.
template <typename T>
class ByName {
 public:
  void add(const std::string& name, T thing) {
    LOCKSTEP_CHECK(things_.emplace(name, std::move(thing)).second, "two arguments named {}", name);
  }
  T& operator[](const std::string& name) { return find(things_, name); }
  const T& operator[](const std::string& name) const { return find(things_, name); }
  auto begin() const { return things_.begin(); }
  auto end() const { return things_.end(); }

 private:
  template <typename Map>
  static auto& find(Map& things, const std::string& name) {
    const auto found = things.find(name);
    LOCKSTEP_CHECK(found != things.end(), "the case has no argument {}", name);
    return found->second;
  }
  std::map<std::string, T> things_;
};

using Doubles = std::vector<double>;
using Reals = std::vector<Real>;
using Values = ByName<Doubles>;  // inputs as the operation gets them, rounded to their type
using Results = ByName<Reals>;   // outputs of the reference
using Tensors = ByName<Tensor>;

class Random {  // counter-based: the same numbers for the same (seed, stream) on any machine
 public:
  Random(std::uint64_t seed, std::uint64_t stream) : key_{.seed = seed}, stream_(stream) {}
  std::uint32_t word();
  double uniform(double low, double high);
  double normal();

 private:
  RandomKey key_;
  std::uint64_t stream_;
  std::uint32_t next_ = 0;
};

// Writes an argument's values; arguments before it in the list are known.
using Fill = std::function<void(Random&, const Values& earlier, Doubles& values)>;
Fill normal(double scale = 1);
Fill uniform(double low, double high);
Fill constant(double value);
Fill listed(Doubles values);                            // in turn, from the front
Fill labels(std::int64_t classes, double ignored = 0);  // ignored: share of rows with class -1
Fill float_patterns();  // random bits: every exponent, infinities and NaN among them

enum class Role {
  kInput,    // must be unchanged after the run
  kOutput,   // poisoned before the run
  kState,    // read and overwritten
  kScratch,  // as kOutput, of a size that the backend chooses, contents of its own
  kHidden,   // for the reference alone
};

struct Argument {
  std::string name;
  Role role = Role::kInput;
  Shape shape;  // of a weight: in the files' order
  DType type = DType::kFloat32;
  Fill fill;
  bool weight = false;  // lies in memory in the backend's order, as `layout` says
  ParamLayout layout = {};
  bool host = false;  // in host memory: the sums of losses and metrics
  std::function<std::int64_t(Backend&)> elements = {};  // kScratch
};

Argument input(std::string name, Shape shape, Fill fill = normal(), DType type = DType::kFloat32);
Argument hidden(std::string name, Shape shape, Fill fill = normal());
Argument state(std::string name, Shape shape, Fill fill = normal());
Argument output(std::string name, Shape shape, DType type = DType::kFloat32);
Argument weight(std::string name, ParamLayout layout, Shape file_shape, Role role, Fill fill = {});
Argument scratch(std::string name, std::function<std::int64_t(Backend&)> elements);
Argument sums(std::int64_t count = 2);  // float64, on the host, named "sums"

// `output` is the derivative of `objective` with respect to `variable`, an input or hidden
// argument. `kink` says where the objective bends so close by that differences mean nothing.
struct Derivative {
  std::string output, variable;
  std::function<double(const Values&)> objective;
  std::function<bool(const Values&, std::size_t index, double reach)> kink = {};
};

struct InPlace {  // a run in which `output` lies where `input` does
  std::string output, input;
};

enum class Use { kTest, kBenchmark, kBoth };

// What a convolution or linear layer's peer library needs to time the same work.
struct PeerShape {
  enum class Kind { kNone, kForward, kBackwardData, kBackwardWeights } kind = Kind::kNone;
  std::int64_t rows = 0;
  ConvGeometry geometry;  // a linear layer is a convolution of one pixel
};

struct OpCase {
  std::string operation;  // as backend.h calls it
  std::string label;      // shape and options
  std::vector<Argument> arguments;
  // Of the result, in units of 2^-24 times its magnitude; 0: equal to the bit.
  double tolerance = 0;
  std::function<void(Backend&, Stream&, Tensors&)> prepare = {};  // not timed; runs once
  std::function<void(Backend&, Stream&, Tensors&)> run;
  std::function<void(const Values&, Results&)> reference;
  std::vector<Derivative> derivatives = {};
  std::vector<InPlace> in_place = {};
  double flops = 0, bytes = 0;
  bool saves_flops = false;  // by an algorithm that does with fewer than `flops`
  Use use = Use::kTest;
  PeerShape peer = {};

  std::string name() const { return operation + " " + label; }
};

using OpCases = std::vector<OpCase>;

// Σ a·b, the objective under which `a` is the gradient that arrives.
double dot(const Doubles& a, const Reals& b);

}  // namespace lockstep::cases
