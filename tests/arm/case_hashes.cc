// Prints the arithmetic probe and a line an operation case, "inputs outputs name", hashed with the
// best instruction set of this processor: arm.sh compares those of two processors. The seed is the
// first argument. Inputs are hashed too, since they come of the C library's logarithm and cosine.
#include <cstdio>
#include <cstdlib>

#include "io/base/checksum.h"
#include "kernels/cases/case_run.h"
#include "kernels/cases/op_list.h"
#include "kernels/cpu/cpu_backend.h"
#include "runtime/run/probe.h"

int main(int count, char** arguments) {
  using namespace lockstep;
  const std::uint64_t seed = count > 1 ? std::strtoull(arguments[1], nullptr, 0) : 1;
  const auto backend = make_cpu_backend(best_isa());
  std::fprintf(stderr, "%s\n", std::string(name_of(best_isa())).c_str());
  std::printf("%s arithmetic probe\n", arithmetic_probe(*backend).c_str());
  for (const cases::OpCase& c : cases::all_cases()) {
    if (c.use == cases::Use::kBenchmark) continue;
    const cases::Values values = cases::make_values(c, seed);
    Checksum inputs, outputs;
    for (const auto& [name, numbers] : values)
      inputs.update(numbers.data(), numbers.size() * sizeof(double));
    cases::CaseRun run(*backend, c, values);
    run.run();
    for (const auto& [name, bytes] : run.collect()) outputs.update(bytes.data(), bytes.size());
    std::printf("%s %s %s\n", checksum_text(inputs.value()).c_str(),
                checksum_text(outputs.value()).c_str(), c.name().c_str());
  }
}
