// Runs a case on a backend: every buffer between guard bands, outputs poisoned, inputs compared
// afterwards; and compares what came out with the case's reference.
#pragma once

#include "kernels/cases/op_case.h"

namespace lockstep::cases {

// LOCKSTEP_TEST_SEED if it is set, else a fresh number. Tests print it.
std::uint64_t test_seed();

// The values of all arguments that the case fills, rounded to their types.
Values make_values(const OpCase& op_case, std::uint64_t seed);

// The same with operands of products as bfloat16: x, w and dy, to nearest, ties to even.
Values with_bfloat16_operands(const OpCase& op_case, const Values& values);

struct Placement {
  bool unaligned = false;             // every tensor starts three elements off the alignment
  const InPlace* in_place = nullptr;  // nullptr: outputs have memory of their own
  bool exact = false;  // no guard bands: each tensor's memory ends with it, for sanitizers
};

using OutputBytes = ByName<std::vector<std::byte>>;  // weights in the files' order, all NaNs alike

class CaseRun {
 public:
  CaseRun(Backend& backend, const OpCase& op_case, const Values& values, Placement placement = {});

  void run();  // once; throws what the operation throws
  // The outputs after run(). Throws Error if a guard band or an input has changed.
  OutputBytes collect();

 private:
  struct Block {  // guard | shift | elements | guard
    const Argument* argument = nullptr;
    Tensor memory;                  // uint8
    Tensor elements;                // the tensor that the operation gets
    std::size_t start = 0;          // of the elements within the memory
    std::vector<std::byte> before;  // the whole block before the run
  };
  void place(const Argument& argument, const Values& values, const Placement& placement);
  bool overwritten(const Argument& argument) const;

  Backend& backend_;
  const OpCase& case_;
  const InPlace* in_place_;
  std::unique_ptr<Stream> stream_;
  std::vector<Block> blocks_;
  Tensors tensors_;
};

// The reference's outputs (and states) for these values.
Results reference_results(const OpCase& op_case, const Values& values);

Doubles to_doubles(const std::vector<std::byte>& bytes, DType type);

// Throws Error that names the first element out of tolerance and the number of them.
void check_outputs(const OpCase& op_case, const Results& expected, const OutputBytes& outputs);

// Compares the outputs with central differences of the case's objectives at up to
// `places` elements of each variable; throws Error that names the element.
void check_derivatives(const OpCase& op_case, const Values& values, const Results& expected,
                       const OutputBytes& outputs, int places);

}  // namespace lockstep::cases
