// Random inputs and the short forms in which cases name their arguments.
#include "kernels/cases/op_case.h"

#include <bit>
#include <numbers>

namespace lockstep::cases {

std::uint32_t Random::word() {
  const std::uint32_t index = next_++;
  return key_.block(stream_, index / 4)[index % 4];
}

double Random::uniform(double low, double high) {
  return low + (high - low) * to_open_unit(word());
}

double Random::normal() {  // Box and Muller (1958)
  const double radius = std::sqrt(-2 * std::log(uniform(0, 1)));
  return radius * std::cos(2 * std::numbers::pi * uniform(0, 1));
}

namespace {

template <typename Draw>
Fill each(Draw draw) {
  return [draw](Random& random, const Values&, Doubles& values) {
    for (double& value : values) value = draw(random);
  };
}

}  // namespace

Fill normal(double scale) {
  return each([scale](Random& random) { return scale * random.normal(); });
}

Fill uniform(double low, double high) {
  return each([low, high](Random& random) { return random.uniform(low, high); });
}

Fill constant(double value) {
  return each([value](Random&) { return value; });
}

Fill listed(Doubles list) {
  return [list](Random&, const Values&, Doubles& values) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = list[i % list.size()];
  };
}

Fill labels(std::int64_t classes, double ignored) {
  return each([classes, ignored](Random& random) {
    const double label = std::floor(random.uniform(0, static_cast<double>(classes)));
    return random.uniform(0, 1) < ignored ? -1.0 : label;
  });
}

Fill float_patterns() {
  return each(
      [](Random& random) { return static_cast<double>(std::bit_cast<float>(random.word())); });
}

Argument input(std::string name, Shape shape, Fill fill, DType type) {
  return {.name = std::move(name),
          .role = Role::kInput,
          .shape = shape,
          .type = type,
          .fill = std::move(fill)};
}

Argument hidden(std::string name, Shape shape, Fill fill) {
  return {.name = std::move(name), .role = Role::kHidden, .shape = shape, .fill = std::move(fill)};
}

Argument state(std::string name, Shape shape, Fill fill) {
  return {.name = std::move(name), .role = Role::kState, .shape = shape, .fill = std::move(fill)};
}

Argument output(std::string name, Shape shape, DType type) {
  return {.name = std::move(name), .role = Role::kOutput, .shape = shape, .type = type, .fill = {}};
}

Argument weight(std::string name, ParamLayout layout, Shape file_shape, Role role, Fill fill) {
  return {.name = std::move(name),
          .role = role,
          .shape = file_shape,
          .fill = std::move(fill),
          .weight = true,
          .layout = layout};
}

Argument scratch(std::string name, std::function<std::int64_t(Backend&)> elements) {
  return {.name = std::move(name),
          .role = Role::kScratch,
          .shape = {},
          .fill = {},
          .elements = std::move(elements)};
}

Argument sums(std::int64_t count) {
  return {.name = "sums",
          .role = Role::kOutput,
          .shape = {count},
          .type = DType::kFloat64,
          .fill = {},
          .host = true};
}

double dot(const Doubles& a, const Reals& b) {
  LOCKSTEP_CHECK(a.size() == b.size(), "{} and {} elements", a.size(), b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i].value;
  return sum;
}

}  // namespace lockstep::cases
