// Time of a step that does nothing but exchange, beside the same sums without waiting for anyone.
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>

#include "tests/runtime/exchange_steps.h"

namespace lockstep::testing {

// All nodes after one another: as many additions as the tree has.
inline void add_nodes(std::span<const TreeNode> nodes, float* target) {
  const std::int64_t count = nodes[0].sum.elements();
  std::copy_n(nodes[0].sum.data<float>(), target == nodes[0].sum.data<float>() ? 0 : count, target);
  for (const TreeNode& node : nodes.subspan(1)) {
    const float* other = node.sum.data<float>();
    for (std::int64_t i = 0; i < count; ++i) target[i] += other[i];
  }
}

inline double median_us(std::vector<double>& seconds) {
  std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
  return 1e6 * seconds[seconds.size() / 2];
}

inline void bench_exchange(Communicator& communicator) {
  for (std::int64_t elements : {1, 102000, 25000000}) {
    StepsCase test;
    test.shards = std::bit_ceil(static_cast<unsigned>(communicator.size()));
    test.workers.assign(static_cast<std::size_t>(communicator.size()), 1);
    test.elements = elements;
    test.bucket_blocks = 1 << 20;
    HostMemory device;
    const auto exchange =
        communicator.make_exchange(plan_of(test), ShardPlan(test.shards, test.workers), device);
    exchange->filled();
    const int repeats = elements > 1000000 ? 30 : 20000;
    std::vector<double> steps, sums;
    for (int step = -repeats / 10; step < repeats; ++step) {
      const auto start = std::chrono::steady_clock::now();
      exchange->begin(0, step);
      exchange->publish_scalars(0);
      exchange->publish(0, 0);
      exchange->wait_scalars(0);
      const auto nodes = exchange->collect(0, 0);
      const auto before_sum = std::chrono::steady_clock::now();
      add_nodes(nodes, exchange->sum_target(0, 0));
      const auto after_sum = std::chrono::steady_clock::now();
      exchange->deliver(0, 0);
      exchange->finish(0);
      const auto end = std::chrono::steady_clock::now();
      if (step < 0) continue;
      steps.push_back(std::chrono::duration<double>(end - start).count());
      sums.push_back(std::chrono::duration<double>(after_sum - before_sum).count());
    }
    if (communicator.rank() == 0)
      fmt::print("{:9} elements: step {:9.2f} us, of which sums {:9.2f} us\n", elements,
                 median_us(steps), median_us(sums));
    communicator.barrier();
  }
}

}  // namespace lockstep::testing
