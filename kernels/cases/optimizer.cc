// SGD, Adam, AdamW, RMSprop and AdaGrad over three steps in a row, as torch.optim defines them.
// Every operation on a Real carries the error's scale along.
#include "kernels/cases/op_list.h"

namespace lockstep::cases {

namespace {

constexpr int kSteps = 3;

std::string gradient_name(int step) {
  return fmt::format("gradient{}", step);
}

void add_gradients(std::int64_t elements, OpCase& c) {
  for (int step = 1; step <= kSteps; ++step)
    c.arguments.push_back(input(gradient_name(step), {elements}));
}

OpCase sgd_case(std::int64_t elements, SgdOptions options) {
  OpCase c;
  c.operation = "sgd";
  c.label =
      fmt::format("{} momentum {} dampening {} decay {}{}", elements, options.momentum,
                  options.dampening, options.weight_decay, options.nesterov ? " nesterov" : "");
  c.tolerance = 16;
  const bool momentum = options.momentum != 0;
  c.bytes = 4.0 * kSteps * (momentum ? 5 : 3) * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {state("value", {elements})};
  // The buffer's first contents are not read: PyTorch's starts as the first gradient.
  if (momentum) c.arguments.push_back(output("momentum", {elements}));
  add_gradients(elements, c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    SgdOptions step_options = options;
    for (int step = 1; step <= kSteps; ++step) {
      step_options.first_step = step == 1;
      b.sgd(s, step_options, t[gradient_name(step)], t["value"], momentum ? t["momentum"] : none);
    }
  };
  c.reference = [=](const Values& in, Results& out) {
    const SgdOptions& o = options;
    for (std::size_t i = 0; i < in["value"].size(); ++i) {
      Real value = in["value"][i], buffer;
      for (int step = 1; step <= kSteps; ++step) {
        Real g = Real(in[gradient_name(step)][i]) + value * o.weight_decay;
        if (momentum) {
          buffer = step == 1 ? g : buffer * o.momentum + g * (1.0 - o.dampening);
          g = o.nesterov ? g + buffer * o.momentum : buffer;
        }
        value = value - g * o.lr;
      }
      out["value"][i] = value;
      if (momentum) out["momentum"][i] = buffer;
    }
  };
  return c;
}

OpCase adam_case(std::int64_t elements, AdamOptions options, double gradient_scale = 1) {
  OpCase c;
  c.operation = "adam";
  c.label =
      fmt::format("{} from step {} decay {}{} gradients {}", elements, options.step,
                  options.weight_decay, options.decoupled ? " decoupled" : "", gradient_scale);
  c.tolerance = 16;
  c.bytes = 4.0 * kSteps * 7 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  const bool fresh = options.step == 1;
  c.arguments = {state("value", {elements}),
                 state("m", {elements}, fresh ? constant(0) : normal(0.1)),
                 state("v", {elements}, fresh ? constant(0) : uniform(0.01, 1))};
  add_gradients(elements, c);
  for (int step = 1; step <= kSteps; ++step)
    c.arguments[static_cast<std::size_t>(2 + step)].fill = normal(gradient_scale);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    AdamOptions step_options = options;
    for (int step = 1; step <= kSteps; ++step, ++step_options.step)
      b.adam(s, step_options, t[gradient_name(step)], t["value"], t["m"], t["v"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const AdamOptions& o = options;
    for (std::size_t i = 0; i < in["value"].size(); ++i) {
      Real value = in["value"][i], m = in["m"][i], v = in["v"][i];
      for (int step = 1; step <= kSteps; ++step) {
        const double t = static_cast<double>(o.step + step - 1);
        const double correction1 = 1 - std::pow(o.beta1, t), correction2 = 1 - std::pow(o.beta2, t);
        Real g = in[gradient_name(step)][i];
        if (o.decoupled)
          value = value * (1 - static_cast<double>(o.lr) * o.weight_decay);
        else
          g += value * o.weight_decay;
        m = m * o.beta1 + g * (1.0 - o.beta1);
        v = v * o.beta2 + g * g * (1.0 - o.beta2);
        const double root = std::sqrt(v.value / correction2);
        // Half of v's relative error arrives in its root.
        const double spread = v.value == 0 ? 1 : 1 + v.magnitude / v.value;
        const Real step_size = m * (o.lr / correction1) / (root + o.epsilon);
        value = value - Real(step_size.value, step_size.magnitude * spread);
      }
      out["value"][i] = value;
      out["m"][i] = m;
      out["v"][i] = v;
    }
  };
  return c;
}

// What the rounding of `square` adds to the error of something over its root.
double root_spread(const Real& square) {
  return square.value == 0 ? 1 : 1 + square.magnitude / std::fabs(square.value);
}

// The states start as zeros (optimizers make them so) or, in mid-run, as anything.
OpCase rmsprop_case(std::int64_t elements, RmspropOptions options, bool fresh = true) {
  OpCase c;
  c.operation = "rmsprop";
  c.label = fmt::format("{} alpha {} momentum {} decay {}{}{}", elements, options.alpha,
                        options.momentum, options.weight_decay, options.centered ? " centered" : "",
                        fresh ? "" : " in mid-run");
  c.tolerance = 32;
  const bool momentum = options.momentum != 0;
  c.bytes = 4.0 * kSteps * (5 + (momentum ? 2 : 0) + (options.centered ? 2 : 0)) *
            static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  c.arguments = {state("value", {elements}),
                 state("square", {elements}, fresh ? constant(0) : uniform(1, 2))};
  const Fill start = fresh ? constant(0) : normal(0.1);
  if (momentum) c.arguments.push_back(state("momentum", {elements}, start));
  if (options.centered) c.arguments.push_back(state("mean", {elements}, start));
  add_gradients(elements, c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    Tensor none;
    for (int step = 1; step <= kSteps; ++step)
      b.rmsprop(s, options, t[gradient_name(step)], t["value"], t["square"],
                momentum ? t["momentum"] : none, options.centered ? t["mean"] : none);
  };
  c.reference = [=](const Values& in, Results& out) {
    const RmspropOptions& o = options;
    for (std::size_t i = 0; i < in["value"].size(); ++i) {
      Real value = in["value"][i], square = in["square"][i], buffer, mean;
      if (momentum) buffer = in["momentum"][i];
      if (o.centered) mean = in["mean"][i];
      for (int step = 1; step <= kSteps; ++step) {
        const Real g = Real(in[gradient_name(step)][i]) + value * o.weight_decay;
        square = square * o.alpha + g * g * (1.0 - o.alpha);
        Real variance = square;
        if (o.centered) {
          mean = mean * o.alpha + g * (1.0 - o.alpha);
          variance = square - mean * mean;
        }
        const Real ratio = g / (std::sqrt(variance.value) + o.epsilon);
        Real move(ratio.value, ratio.magnitude * root_spread(variance));
        if (momentum) move = buffer = buffer * o.momentum + move;
        value = value - move * o.lr;
      }
      out["value"][i] = value;
      out["square"][i] = square;
      if (momentum) out["momentum"][i] = buffer;
      if (o.centered) out["mean"][i] = mean;
    }
  };
  return c;
}

OpCase adagrad_case(std::int64_t elements, AdagradOptions options) {
  OpCase c;
  c.operation = "adagrad";
  c.label = fmt::format("{} from step {} slower by {} sums from {} decay {}", elements,
                        options.step, options.lr_decay, options.initial, options.weight_decay);
  c.tolerance = 32;
  c.bytes = 4.0 * kSteps * 5 * static_cast<double>(elements);
  c.use = elements > 50'000 ? Use::kBoth : Use::kTest;
  const bool fresh = options.step == 1;
  // The first step does not read the sums.
  c.arguments = {state("value", {elements}),
                 fresh ? output("sum", {elements}) : state("sum", {elements}, uniform(0.1, 2))};
  add_gradients(elements, c);
  c.run = [=](Backend& b, Stream& s, Tensors& t) {
    AdagradOptions step_options = options;
    for (int step = 1; step <= kSteps; ++step, ++step_options.step)
      b.adagrad(s, step_options, t[gradient_name(step)], t["value"], t["sum"]);
  };
  c.reference = [=](const Values& in, Results& out) {
    const AdagradOptions& o = options;
    for (std::size_t i = 0; i < in["value"].size(); ++i) {
      Real value = in["value"][i], sum = fresh ? o.initial : in["sum"][i];
      for (int step = 1; step <= kSteps; ++step) {
        const double rate = o.lr / (1 + static_cast<double>(o.step + step - 2) * o.lr_decay);
        const Real g = Real(in[gradient_name(step)][i]) + value * o.weight_decay;
        sum += g * g;
        const Real move = g / (std::sqrt(sum.value) + o.epsilon);
        value = value - Real(move.value, move.magnitude * root_spread(sum)) * rate;
      }
      out["value"][i] = value;
      out["sum"][i] = sum;
    }
  };
  return c;
}

}  // namespace

OpCases optimizer_cases() {
  OpCases cases;
  for (const std::int64_t elements : {0, 1, 7, 33, 1000, 200'000}) {
    cases.push_back(sgd_case(elements, {.lr = 0.1f}));
    cases.push_back(sgd_case(elements, {.lr = 0.1f, .momentum = 0.9f, .weight_decay = 1e-2f}));
    cases.push_back(adam_case(elements, {.lr = 1e-3f}));
    cases.push_back(adam_case(elements, {.lr = 1e-2f, .weight_decay = 1e-1f, .decoupled = true}));
    cases.push_back(rmsprop_case(elements, {.lr = 1e-2f}));
    cases.push_back(rmsprop_case(
        elements, {.lr = 1e-2f, .momentum = 0.9f, .weight_decay = 1e-2f, .centered = true}));
    cases.push_back(adagrad_case(elements, {.lr = 1e-2f}));
  }
  cases.push_back(rmsprop_case(100, {.lr = 1e-2f, .alpha = 0.5f, .centered = true}, false));
  cases.push_back(rmsprop_case(100, {.lr = 1e-2f, .epsilon = 1, .momentum = 0.5f}, false));
  cases.push_back(adagrad_case(100, {.lr = 0.1f, .weight_decay = 0.1f, .initial = 0.5f}));
  cases.push_back(adagrad_case(100, {.lr = 0.1f, .epsilon = 0.1f, .lr_decay = 0.2, .step = 7}));
  cases.push_back(sgd_case(100, {.lr = 0.1f, .weight_decay = 0.1f}));
  cases.push_back(sgd_case(100, {.lr = 0.1f, .momentum = 0.9f, .nesterov = true}));
  cases.push_back(sgd_case(100, {.lr = 0.1f, .momentum = 0.8f, .dampening = 0.3f}));
  cases.push_back(
      sgd_case(31, {.lr = 1, .momentum = 0.5f, .weight_decay = 0.1f, .nesterov = true}));
  cases.push_back(adam_case(100, {.lr = 1e-2f, .weight_decay = 1e-1f}));
  cases.push_back(adam_case(100, {.lr = 1e-2f, .step = 1000}));
  cases.push_back(adam_case(100, {.lr = 1e-3f}, 1e-12));  // epsilon dominates
  cases.push_back(adam_case(100, {.lr = 1e-3f}, 1e12));
  cases.push_back(adam_case(17, {.lr = 1e-3f}, 0));  // no gradient at all: no step
  cases.push_back(
      adam_case(31, {.lr = 1e-2f, .beta1 = 0.5f, .beta2 = 0.9f, .epsilon = 1e-3f, .step = 2}));
  return cases;
}

}  // namespace lockstep::cases
