// What the programs that run operation cases on the emulated GPU share.
#pragma once

#include <set>

#include "kernels/cases/bfloat16.h"
#include "kernels/cases/case_run.h"
#include "kernels/cases/op_list.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/libraries.h"

namespace lockstep::cases {

inline std::unique_ptr<Backend> emulated_backend(DType activation_type = DType::kFloat32) {
  return make_cuda_backend({.name = "emulated GPU", .major = 0, .minor = 0},
                           gpu::make_libraries(gpu::Float32Products::kStrict), activation_type);
}

inline std::vector<std::string> operations_of_cases() {
  std::set<std::string> names;
  for (const OpCase& c : all_cases()) names.insert(c.operation);
  return {names.begin(), names.end()};
}

inline double elements_of(const OpCase& op_case) {
  double elements = 0;
  for (const Argument& argument : op_case.arguments)
    elements += static_cast<double>(argument.shape.elements());
  return elements;
}

// Runs an operation's cases of at most so many elements once, and compares with the reference.
// Returns the complaints.
inline std::string run_cases(const std::string& operation, double most_elements,
                             const Placement& placement) {
  const std::uint64_t seed = test_seed();
  const auto backend = emulated_backend();
  std::string complaints;
  for (const OpCase& c : all_cases()) {
    if (c.operation != operation || c.use == Use::kBenchmark || elements_of(c) > most_elements)
      continue;
    const Values values = make_values(c, seed);
    try {
      CaseRun run(*backend, c, values, placement);
      run.run();
      check_outputs(c, reference_results(c, values), run.collect());
    } catch (const Error& error) {
      complaints += fmt::format("{} (LOCKSTEP_TEST_SEED={})\n", error.what(), seed);
    }
  }
  return complaints;
}

}  // namespace lockstep::cases
