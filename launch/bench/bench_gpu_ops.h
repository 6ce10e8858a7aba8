// `lockstep bench ops --device cuda`: single operations on a GPU, on tensors that fill no cache.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

struct BenchGpuOpsOptions {
  std::string filter;      // a part of an operation's name; empty: all
  std::int64_t mib = 512;  // of the largest tensor of an operation
  int repetitions = 11;    // the median is reported, with the distance between the quartiles
  double sample_ms = 20;   // an operation is queued this long for one reading of the clock
  std::string json;        // file to write; empty: none
};

// Prints the table. Throws Error where there is no GPU or no operation is so named.
int bench_gpu_ops(const BenchGpuOpsOptions& options);

}  // namespace lockstep
