// `lockstep bench ops`: the benchmark mode of the operation cases (kernels/cases).
#pragma once

#include <string>

namespace lockstep {

struct BenchOpsOptions {
  std::string filter;  // a part of a case's name, such as "conv_forward"; empty: all
  std::string isa = "auto";
  std::string products = "float32";  // of linear layers and convolutions; or bfloat16, -dots, -fma
  int repetitions = 11;  // the median is reported, with the distance between the quartiles
  double sample_ms = 5;  // an operation is repeated this long for one reading of the clock
  bool verify = true;    // against the double-precision reference, before it is timed
  bool peer = true;      // times the peer library's layers where the build found one
  std::string json;      // file to write; empty: none
};

// Prints the table. Returns the exit status: 0, or 1 if an operation gave a wrong result.
// Throws Error when no case matches or the file cannot be written.
int bench_ops(const BenchOpsOptions& options);

}  // namespace lockstep
