// `lockstep bench overlap`: when the gradients of a network's buckets are final within a backward
// pass on this GPU, and how fast a network between GPUs would have to be to carry them meanwhile.
#pragma once

#include <vector>

#include "launch/commands.h"

namespace lockstep {

struct ReadyBucket {
  double bytes = 0;    // of its gradients, float32
  double seconds = 0;  // from the start of the pass until they are final
};

// What `gpus` GPUs would need; a projection.
struct Overlap {
  int gpus = 2;
  // Bytes a second over each GPU's bus at which all buckets but the last, and what is ready with
  // that, arrive before the pass ends; as nccl-tests count them, of bytes · (n-1)/n that leave a
  // GPU. 0: there is one bucket.
  double bandwidth = 0;
  // Then still to be carried: the last gradients, and the new weights.
  double gradient_bytes = 0, weight_bytes = 0;
};

// Buckets in the order of the exchange, one behind another; `end`: of the pass.
Overlap overlap_of(const std::vector<ReadyBucket>& buckets, double end, int gpus);

void add_bench_overlap(CLI::App& bench, Action& action, const Networks& networks);

}  // namespace lockstep
