// Comparison of a run's outputs with the reference, and with differences of the objective.
#include <algorithm>
#include <cfloat>

#include "kernels/cases/case_run.h"

namespace lockstep::cases {

namespace {

// rounding: of the result's type beyond float32's, relative to the result.
bool same(double got, const Real& expected, double tolerance, double rounding) {
  if (std::isnan(expected.value)) return std::isnan(got);
  if (std::isinf(expected.value) || (tolerance == 0 && rounding == 0)) return got == expected.value;
  // FLT_MIN: results below it are flushed to zero.
  return std::fabs(got - expected.value) <=
         tolerance * 0x1p-24 * expected.magnitude + rounding * std::fabs(expected.value) + FLT_MIN;
}

// Fourth-order central difference: (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12 h.
constexpr double kStep = 0x1p-9;

double difference(const Derivative& derivative, Values& values, std::size_t index) {
  double& variable = values[derivative.variable][index];
  const double centre = variable;
  const auto at = [&](double offset) {
    variable = centre + offset * kStep;
    return derivative.objective(values);
  };
  const double slope = (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * kStep);
  variable = centre;
  return slope;
}

const Argument& find_argument(const OpCase& op_case, const std::string& name) {
  const auto found = std::ranges::find(op_case.arguments, name, &Argument::name);
  LOCKSTEP_CHECK(found != op_case.arguments.end(), "{} has no argument {}", op_case.name(), name);
  return *found;
}

}  // namespace

Results reference_results(const OpCase& op_case, const Values& values) {
  Results results;
  for (const Argument& argument : op_case.arguments)
    if (argument.role == Role::kOutput || argument.role == Role::kState)
      results.add(argument.name, Reals(static_cast<std::size_t>(argument.shape.elements())));
  op_case.reference(values, results);
  return results;
}

void check_outputs(const OpCase& op_case, const Results& expected, const OutputBytes& outputs) {
  for (const auto& [name, want] : expected) {
    const DType type = find_argument(op_case, name).type;
    const Doubles got = to_doubles(outputs[name], type);
    LOCKSTEP_CHECK(got.size() == want.size(), "{}: the reference resized '{}' to {} elements",
                   op_case.name(), name, want.size());
    const bool exact = type == DType::kUInt8 || type == DType::kInt64;
    const double rounding = type == DType::kBFloat16 ? 0x1p-8 : 0;
    std::size_t wrong = 0, first = 0;
    for (std::size_t i = got.size(); i-- > 0;)
      if (!same(got[i], want[i], exact ? 0 : op_case.tolerance, rounding)) ++wrong, first = i;
    if (wrong == 0) continue;
    throw Error(
        "{}: {} of {} elements of '{}' are wrong; element {} is {:.9g}, expected {:.9g} "
        "within {} · 2^-24 · {:.3g}",
        op_case.name(), wrong, got.size(), name, first, got[first], want[first].value,
        op_case.tolerance, want[first].magnitude);
  }
}

void check_derivatives(const OpCase& op_case, const Values& values, const Results& expected,
                       const OutputBytes& outputs, int places) {
  for (const Derivative& derivative : op_case.derivatives) {
    const Doubles got =
        to_doubles(outputs[derivative.output], find_argument(op_case, derivative.output).type);
    Values moved = values;
    const std::size_t stride =
        std::max<std::size_t>(1, got.size() / static_cast<std::size_t>(places));
    for (std::size_t i = 0; i < got.size(); i += stride) {
      if (derivative.kink && derivative.kink(values, i, 2 * kStep)) continue;
      const double slope = difference(derivative, moved, i);
      const double magnitude = expected[derivative.output][i].magnitude;
      const double allowed = op_case.tolerance * 0x1p-24 * magnitude + 1e-6 * (magnitude + 1e-2);
      if (std::fabs(got[i] - slope) <= allowed) continue;
      throw Error("{}: '{}'[{}] is {:.9g}, the slope of the objective over '{}' is {:.9g} ± {:.2g}",
                  op_case.name(), derivative.output, i, got[i], derivative.variable, slope,
                  allowed);
    }
  }
}

}  // namespace lockstep::cases
