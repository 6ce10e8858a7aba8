// Collectives against closed-form answers, for any form of Communicator. Throws Error on a mistake.
#pragma once

#include <algorithm>

#include "runtime/communication/communicator.h"

namespace lockstep::testing {

inline void require(bool condition, const std::string& what) {
  if (!condition) throw Error("wrong: {}", what);
}

inline std::string text_of(int rank, std::size_t length) {
  return std::string(length, static_cast<char>('a' + rank % 26));
}

inline void check_collectives(Communicator& communicator) {
  const int ranks = communicator.size();
  for (std::size_t length : {0, 1, 2, 17, 4095, 100001}) {
    for (int root = 0; root < ranks; ++root) {
      const bool is_root = communicator.rank() == root;
      const std::string text =
          communicator.broadcast(is_root ? text_of(root, length) : "something else", root);
      require(text == text_of(root, length), fmt::format("broadcast of {} from {}", length, root));
    }
    // Lengths differ by rank; rank 0 sends nothing.
    const auto own = length * static_cast<std::size_t>(communicator.rank());
    const auto all = communicator.all_gather(text_of(communicator.rank(), own));
    require(all.size() == static_cast<std::size_t>(ranks), "all_gather's size");
    for (int rank = 0; rank < ranks; ++rank)
      require(all[static_cast<std::size_t>(rank)] ==
                  text_of(rank, length * static_cast<std::size_t>(rank)),
              fmt::format("all_gather of {} from {}", length, rank));
  }
  for (int i = 0; i < 20; ++i) communicator.barrier();
}

inline void check_node_memory(Communicator& communicator) {
  for (std::size_t bytes : {0, 1, 4097, 300001}) {
    const NodeMemory memory = communicator.node_memory(bytes);
    require(memory.bytes.size() == bytes, "size of node memory");
    for (std::byte value : memory.bytes) require(value == std::byte{0}, "fresh node memory");
    communicator.barrier();
    if (memory.fill_here)
      for (std::size_t i = 0; i < bytes; ++i) memory.bytes[i] = static_cast<std::byte>(i * 7 + 1);
    communicator.barrier();
    for (std::size_t i = 0; i < bytes; ++i)
      require(memory.bytes[i] == static_cast<std::byte>(i * 7 + 1), "filled node memory");
    // One copy a node, filled by its first rank; every rank fills where a node cannot share.
    const auto fillers = communicator.all_gather(memory.fill_here ? "x" : "");
    const auto count = fillers.size() - static_cast<std::size_t>(std::count(
                                            fillers.begin(), fillers.end(), std::string()));
    const auto nodes = static_cast<std::size_t>(communicator.nodes());
    require(count >= nodes, "ranks that fill node memory");
    if (communicator.local_rank() == 0) require(memory.fill_here, "a node's first rank fills");
  }
}

}  // namespace lockstep::testing
