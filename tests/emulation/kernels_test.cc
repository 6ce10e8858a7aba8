// Every operation case on the CUDA back end, whose kernels the emulated GPU runs: within the case's
// tolerance of the double-precision reference, and the same bits in every order of the threads, at
// any alignment and in place.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/emulation/emulated_cases.h"
#include "tests/emulation/machine.h"

namespace lockstep::cases {
namespace {

void expect_same_bits(const OutputBytes& expected, const OutputBytes& got,
                      const std::string& where) {
  for (const auto& [name, bytes] : expected) {
    const std::vector<std::byte>& other = got[name];
    ASSERT_EQ(bytes.size(), other.size()) << where;
    const auto differs = std::ranges::mismatch(bytes, other).in1;
    EXPECT_EQ(differs, bytes.end()) << where << ": '" << name << "' differs at byte "
                                    << differs - bytes.begin() << " of " << bytes.size();
  }
}

struct Run {
  Placement placement;
  emulation::Order order = emulation::Order::kForward;
  std::string name;
};

std::vector<Run> runs_of(const OpCase& c) {
  std::vector<Run> runs = {{{}, emulation::Order::kForward, "forward"},
                           {{}, emulation::Order::kReverse, "reverse"},
                           {{}, emulation::Order::kRandom, "random order"},
                           {{.unaligned = true}, emulation::Order::kRandom, "unaligned"}};
  for (const InPlace& in_place : c.in_place)
    runs.push_back(
        {{.in_place = &in_place}, emulation::Order::kRandom, "in place of " + in_place.input});
  return runs;
}

void test_case(Backend& backend, const OpCase& c, std::uint64_t seed) {
  const Values values = make_values(c, seed);
  const Results expected = reference_results(c, values);
  OutputBytes first;
  bool have_first = false;
  for (const Run& run : runs_of(c)) {
    emulation::options().order = run.order;
    emulation::options().seed = seed;
    CaseRun on_gpu(backend, c, values, run.placement);
    on_gpu.run();
    const OutputBytes outputs = on_gpu.collect();
    if (have_first) {
      expect_same_bits(first, outputs, fmt::format("{}, {}", c.name(), run.name));
      continue;
    }
    first = outputs;
    have_first = true;
    check_outputs(c, expected, outputs);
  }
}

class EmulatedKernels : public testing::TestWithParam<std::string> {};

TEST_P(EmulatedKernels, MatchTheReferenceWithTheSameBitsInEveryOrder) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(fmt::format("rerun with LOCKSTEP_TEST_SEED={}", seed));
  const auto backend = emulated_backend(), narrow_backend = emulated_backend(DType::kBFloat16);
  for (const OpCase& c : all_cases()) {
    if (c.operation != GetParam() || c.use == Use::kBenchmark) continue;
    try {
      test_case(*backend, c, seed);
      if (const auto narrow = in_bfloat16(c)) test_case(*narrow_backend, *narrow, seed);
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, EmulatedKernels, testing::ValuesIn(operations_of_cases()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace lockstep::cases
