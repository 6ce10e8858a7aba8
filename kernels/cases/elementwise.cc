// add, convert, fill, dropout, drop_samples, scale_shift: one rounding an element, so every result
// is exact.
#include <algorithm>

#include "kernels/cases/op_list.h"
#include "kernels/core/small_floats.h"

namespace lockstep::cases {

namespace {

OpCase elementwise(const std::string& operation, const std::string& label, double bytes) {
  OpCase c;
  c.operation = operation;
  c.label = label;
  c.bytes = bytes;
  c.use = bytes > 500'000 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase add_case(std::int64_t elements) {
  OpCase c = elementwise("add", fmt::format("{}", elements), 12.0 * static_cast<double>(elements));
  c.arguments = {input("a", {elements}), input("b", {elements}), output("y", {elements})};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.add(s, t["a"], t["b"], t["y"]); };
  c.reference = [](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["a"].size(); ++i)
      out["y"][i] = static_cast<float>(in["a"][i]) + static_cast<float>(in["b"][i]);
  };
  c.in_place = {{"y", "a"}, {"y", "b"}};
  return c;
}

// All bit patterns: ties, overflow to infinity, denormal numbers and NaNs are among them.
OpCase convert_case(std::int64_t elements, DType from, DType to) {
  const double bytes =
      static_cast<double>(elements) * static_cast<double>(size_of(from) + size_of(to));
  OpCase c = elementwise("convert",
                         fmt::format("{} {} to {}", elements, name_of(from), name_of(to)), bytes);
  c.arguments = {input("from", {elements}, float_patterns(), from), output("to", {elements}, to)};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.convert(s, t["from"], t["to"]); };
  c.reference = [to](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["from"].size(); ++i) {
      const auto value = static_cast<float>(in["from"][i]);
      out["to"][i] = to == DType::kBFloat16 ? from_bfloat16(to_bfloat16(value)) : value;
    }
  };
  return c;
}

OpCase fill_case(std::int64_t elements) {
  OpCase c = elementwise("fill", fmt::format("{}", elements), 4.0 * static_cast<double>(elements));
  c.arguments = {output("y", {elements})};
  c.run = [](Backend& b, Stream& s, Tensors& t) { b.fill(s, -1.25f, t["y"]); };
  c.reference = [](const Values&, Results& out) { std::ranges::fill(out["y"], Real(-1.25)); };
  return c;
}

// An element is dropped where its number in [0, 1) lies below the probability. Four neighbours
// of one sample share a Philox block; a kept element is multiplied by 1 / (1 - p).
OpCase dropout_case(const Shape& shape, float probability) {
  OpCase c = elementwise("dropout", fmt::format("{} p {}", shape.to_string(), probability),
                         8.0 * static_cast<double>(shape.elements()));
  c.tolerance = 2;
  const DropoutOptions options{
      .probability = probability,
      .key = {
          .seed = 0x123456789ABCDEF, .purpose = RandomPurpose::kDropout, .layer = 3, .time = 77}};
  const Fill ids = [](Random& random, const Values&, Doubles& values) {
    for (double& id : values) id = random.word() + std::floor(random.uniform(0, 16)) * 0x1p32;
  };
  c.arguments = {input("ids", {shape[0]}, ids, DType::kInt64), input("x", shape),
                 output("y", shape)};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.dropout(s, options, t["ids"], t["x"], t["y"]);
  };
  const auto row = static_cast<std::size_t>(shape.without_rows().elements());
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i) {
      const auto id = static_cast<std::uint64_t>(in["ids"][i / row]);
      const auto element = static_cast<std::uint32_t>(i % row);
      const std::uint32_t word = options.key.block(id, element / 4)[element % 4];
      const bool kept = to_unit_float(word) >= options.probability;
      out["y"][i] = kept ? in["x"][i] / (1 - static_cast<double>(options.probability)) : 0.0;
    }
  };
  c.in_place = {{"y", "x"}};
  return c;
}

// A sample is dropped where the first number of its block lies below the probability.
OpCase drop_samples_case(const Shape& shape, float probability) {
  OpCase c = dropout_case(shape, probability);
  c.operation = "drop_samples";
  const DropoutOptions options{
      .probability = probability,
      .key = {
          .seed = 0xFEDCBA987654321, .purpose = RandomPurpose::kDropout, .layer = 9, .time = 5}};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.drop_samples(s, options, t["ids"], t["x"], t["y"]);
  };
  const auto row = static_cast<std::size_t>(shape.without_rows().elements());
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i) {
      const auto id = static_cast<std::uint64_t>(in["ids"][i / row]);
      const bool kept = to_unit_float(options.key.block(id, 0)[0]) >= options.probability;
      out["y"][i] = kept ? in["x"][i] / (1 - static_cast<double>(options.probability)) : 0.0;
    }
  };
  return c;
}

OpCase scale_shift_case(const Shape& shape, std::int64_t period, DType type) {
  const double bytes =
      static_cast<double>(shape.elements()) * (4.0 + static_cast<double>(size_of(type)));
  OpCase c =
      elementwise("scale_shift",
                  fmt::format("{} {} period {}", name_of(type), shape.to_string(), period), bytes);
  const Fill fill = type == DType::kFloat32 ? normal()
                    : type == DType::kUInt8 ? labels(256)
                                            : labels(1'000'000);
  c.arguments = {input("x", shape, fill, type), input("scale", {period}), input("shift", {period}),
                 output("y", shape)};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.scale_shift(s, t["x"], t["scale"], t["shift"], t["y"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["x"].size(); ++i) {
      const std::size_t p = i % static_cast<std::size_t>(period);
      out["y"][i] = std::fma(static_cast<float>(in["x"][i]), static_cast<float>(in["scale"][p]),
                             static_cast<float>(in["shift"][p]));
    }
  };
  return c;
}

}  // namespace

OpCases elementwise_cases() {
  OpCases cases;
  for (const std::int64_t elements : {0, 1, 7, 17, 31, 100, 1000, 200'000}) {
    cases.push_back(add_case(elements));
    cases.push_back(fill_case(elements));
    for (const DType from : {DType::kFloat32, DType::kBFloat16})
      for (const DType to : {DType::kFloat32, DType::kBFloat16})
        cases.push_back(convert_case(elements, from, to));
  }
  for (const Shape& shape : {Shape{1, 1}, {0, 7}, {3, 7}, {13, 33}, {2, 5, 5, 3}, {100, 1024}})
    for (const float probability : {0.5f, 0.2f, 0.0f})
      cases.push_back(dropout_case(shape, probability));
  for (const Shape& shape : {Shape{1, 1}, {0, 7}, {64, 7}, {13, 3, 11}, {32, 14, 14, 32}})
    for (const float probability : {0.5f, 0.2f, 0.0f})
      cases.push_back(drop_samples_case(shape, probability));
  for (const DType type : {DType::kUInt8, DType::kFloat32, DType::kInt64}) {
    cases.push_back(scale_shift_case({1, 1}, 1, type));
    cases.push_back(scale_shift_case({0, 6}, 3, type));
    cases.push_back(scale_shift_case({5, 7, 3, 3}, 3, type));
    cases.push_back(scale_shift_case({13, 31}, 31, type));
    cases.push_back(scale_shift_case({7, 100}, 1, type));
    cases.push_back(scale_shift_case({3, 34}, 17, type));
    cases.push_back(scale_shift_case({128, 28, 28, 1}, 1, type));
  }
  return cases;
}

}  // namespace lockstep::cases
