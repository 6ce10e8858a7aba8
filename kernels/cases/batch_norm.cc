// Batch norm over all axes but the last, in training and with running statistics, and the running
// average itself.
#include "kernels/cases/batch_norm_reference.h"
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

OpCase common(const Shape& shape, const std::string& operation, double tensors) {
  OpCase c;
  c.operation = operation;
  c.label = shape.to_string();
  c.tolerance = 16;
  c.bytes = 4.0 * tensors * static_cast<double>(shape.elements());
  c.use = shape.elements() > 50'000 ? Use::kBoth : Use::kTest;
  return c;
}

OpCase forward_case(const Shape& shape, const Fill& fill, const std::string& what) {
  OpCase c = common(shape, "batch_norm_forward", 3);
  c.label += what;
  const Shape per_channel = {shape.back()};
  c.arguments = {input("x", shape, fill),           input("gamma", per_channel),
                 input("beta", per_channel),        output("y", shape),
                 output("saved_mean", per_channel), output("saved_inv_std", per_channel),
                 output("stat_mean", per_channel),  output("stat_var", per_channel)};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_forward(s, {}, t["x"], t["gamma"], t["beta"], t["y"], t["saved_mean"],
                         t["saved_inv_std"], t["stat_mean"], t["stat_var"]);
  };
  const double rows = static_cast<double>(shape[0]);
  c.reference = [=](const Values& in, Results& out) {
    const std::size_t channels = channels_of(shape);
    const Statistics s = statistics(in["x"], channels);
    const double count = static_cast<double>(in["x"].size() / channels);
    out["y"] = batch_norm(in, channels);
    for (std::size_t i = 0; i < channels; ++i) {
      out["saved_mean"][i] = s.mean[i];
      out["saved_inv_std"][i] = inverse_deviation(s.variance[i]);
      out["stat_mean"][i] = s.mean[i] * rows;
      out["stat_var"][i] = s.variance[i] * (rows * count / (count - 1));
    }
  };
  return c;
}

OpCase inference_case(const Shape& shape) {
  OpCase c = common(shape, "batch_norm_inference", 2);
  const Shape per_channel = {shape.back()};
  c.arguments = {input("x", shape),
                 input("gamma", per_channel),
                 input("beta", per_channel),
                 input("mean", per_channel),
                 input("var", per_channel, uniform(0.1, 4)),
                 output("y", shape)};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_inference(s, {}, t["x"], t["gamma"], t["beta"], t["mean"], t["var"], t["y"]);
  };
  c.reference = [](const Values& in, Results& out) {
    out["y"] = normalised(in["x"], Reals(in["mean"].begin(), in["mean"].end()),
                          Reals(in["var"].begin(), in["var"].end()), in);
  };
  return c;
}

OpCase backward_case(const Shape& shape) {
  OpCase c = common(shape, "batch_norm_backward", 5);
  const std::size_t channels = channels_of(shape);
  const Shape per_channel = {shape.back()};
  c.arguments = {input("x", shape),
                 input("dy", shape),
                 input("gamma", per_channel),
                 hidden("beta", per_channel),
                 input("saved_mean", per_channel, saved_mean(channels)),
                 input("saved_inv_std", per_channel, saved_inv_std(channels)),
                 output("dgamma", per_channel),
                 output("dbeta", per_channel),
                 output("dx", shape)};
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_backward(s, t["x"], t["dy"], t["gamma"], t["saved_mean"], t["saved_inv_std"],
                          t["dgamma"], t["dbeta"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    batch_norm_gradients(in, in["dy"], channels, out);
  };
  const auto objective = [=](const Values& in) { return dot(in["dy"], batch_norm(in, channels)); };
  c.derivatives = {
      {"dx", "x", objective}, {"dgamma", "gamma", objective}, {"dbeta", "beta", objective}};
  return c;
}

OpCase running_average_case(std::int64_t channels, float momentum) {
  OpCase c;
  c.operation = "running_average";
  c.label = fmt::format("{} momentum {}", channels, momentum);
  c.tolerance = 8;
  c.arguments = {input("mean", {channels}), state("value", {channels})};
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    b.running_average(s, momentum, t["mean"], t["value"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    for (std::size_t i = 0; i < in["mean"].size(); ++i)
      out["value"][i] = Real(in["value"][i]) * (1.0 - momentum) + Real(in["mean"][i]) * momentum;
  };
  return c;
}

}  // namespace

OpCases batch_norm_cases() {
  OpCases cases;
  for (const Shape& shape : {Shape{4, 14, 14, 128},
                             {2, 1},
                             {3, 7},
                             {13, 17},
                             {2, 3, 5, 31},
                             {129, 33},
                             {3, 13, 7, 100},
                             {1, 6, 4, 13}}) {
    cases.push_back(forward_case(shape, normal(), ""));
    cases.push_back(inference_case(shape));
    if (shape.elements() > 2) cases.push_back(backward_case(shape));  // two values: dx is noise
  }
  cases.push_back(forward_case({31, 13}, uniform(999, 1001), " far from zero"));
  cases.push_back(forward_case({31, 13}, constant(2.5), " all equal"));
  cases.push_back(inference_case({1, 1}));
  cases.push_back(inference_case({0, 7}));
  for (const std::int64_t channels : {1, 7, 33, 1000})
    for (const float momentum : {0.1f, 1.0f})
      cases.push_back(running_average_case(channels, momentum));
  return cases;
}

}  // namespace lockstep::cases
