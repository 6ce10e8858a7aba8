// Runs a function on several ranks, each a thread of this process.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/communication/communicator.h"

namespace lockstep::testing {

inline void on_threads(int ranks, const std::function<void(int rank)>& work) {
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(work, rank);
  for (std::thread& thread : threads) thread.join();
}

inline void on_ranks(int ranks, const std::function<void(Communicator&)>& work) {
  auto communicators = make_thread_communicators(ranks);
  on_threads(ranks, [&](int rank) { work(*communicators[static_cast<std::size_t>(rank)]); });
}

}  // namespace lockstep::testing
