// What the backward operations compute is the slope of the double-precision forward: every case
// with a derivative against fourth-order central differences, kinks left out.
#include <gtest/gtest.h>

#include "kernels/cases/case_run.h"
#include "kernels/cases/op_list.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep::cases {
namespace {

constexpr int kPlaces = 12;  // elements of each variable, spread evenly
// A difference takes four forward passes in plain loops.
constexpr double kMostWork = 2e6;

double work_of(const OpCase& c) {
  double elements = 0;
  for (const Argument& argument : c.arguments)
    elements += static_cast<double>(argument.shape.elements());
  return std::max(c.flops, elements * 10);
}

TEST(OpGradientsTest, AreTheSlopesOfTheForwardReference) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(fmt::format("rerun with LOCKSTEP_TEST_SEED={}", seed));
  const auto backend = make_cpu_backend(best_isa());
  int checked = 0;
  for (const OpCase& c : all_cases()) {
    if (c.derivatives.empty() || c.use == Use::kBenchmark || work_of(c) > kMostWork) continue;
    const Values values = make_values(c, seed);
    try {
      CaseRun run(*backend, c, values);
      run.run();
      check_derivatives(c, values, reference_results(c, values), run.collect(), kPlaces);
      ++checked;
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
  EXPECT_GT(checked, 100);
}

TEST(OpGradientsTest, NoticeAWrongSlope) {
  OpCase c;
  c.operation = "square";
  c.label = "with a wrong factor";
  c.tolerance = 16;
  c.arguments = {input("x", {4}, uniform(1, 2)), output("dx", {4})};
  c.run = [](Backend& backend, Stream& stream, Tensors& t) {
    backend.add(stream, t["x"], t["x"], t["dx"]);
    backend.scale(stream, 1.001f, t["dx"]);
  };
  c.reference = [](const Values& in, Results& out) {
    for (std::size_t i = 0; i < 4; ++i) out["dx"][i] = 2 * in["x"][i];
  };
  c.derivatives = {{"dx", "x", [](const Values& in) {
                      double sum = 0;
                      for (const double x : in["x"]) sum += x * x;
                      return sum;
                    }}};
  const auto backend = make_cpu_backend(best_isa());
  const Values values = make_values(c, test_seed());
  CaseRun run(*backend, c, values);
  run.run();
  EXPECT_THROW(check_derivatives(c, values, reference_results(c, values), run.collect(), kPlaces),
               Error);
}

}  // namespace
}  // namespace lockstep::cases
