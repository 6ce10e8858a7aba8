// Batch norm over all axes but the last, in training and with running statistics, and the running
// average itself.
#include "kernels/cases/batch_norm_reference.h"
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

OpCase forward_case(const Shape& shape, const Fill& fill, const std::string& what) {
  OpCase c = batch_norm_case(shape, "batch_norm_forward", 3);
  c.label += what;
  c.arguments = forward_arguments(shape, shape);
  c.arguments.front() = input("x", shape, fill);
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_forward(s, {}, t["x"], t["gamma"], t["beta"], t["y"], t["saved_mean"],
                         t["saved_inv_std"], t["stat_mean"], t["stat_var"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    forward_statistics(in, shape, out);
    out["y"] = batch_norm(in, channels_of(shape));
  };
  return c;
}

OpCase inference_case(const Shape& shape) {
  OpCase c = batch_norm_case(shape, "batch_norm_inference", 2);
  c.arguments = inference_arguments(shape, shape);
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_inference(s, {}, t["x"], t["gamma"], t["beta"], t["mean"], t["var"], t["y"]);
  };
  c.reference = [](const Values& in, Results& out) { out["y"] = batch_norm_inference(in); };
  return c;
}

OpCase backward_case(const Shape& shape) {
  OpCase c = batch_norm_case(shape, "batch_norm_backward", 5);
  const std::size_t channels = channels_of(shape);
  c.arguments = backward_arguments(shape);
  c.arguments.push_back(input("dy", shape));
  c.run = [](Backend& b, Stream& s, Tensors& t) {
    b.batch_norm_backward(s, t["x"], t["dy"], t["gamma"], t["saved_mean"], t["saved_inv_std"],
                          t["dgamma"], t["dbeta"], t["dx"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    batch_norm_gradients(in, in["dy"], channels, out);
  };
  const auto objective = [=](const Values& in) { return dot(in["dy"], batch_norm(in, channels)); };
  c.derivatives = batch_norm_derivatives(objective);
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
