// Datasets in memory: one copy a node, where they are small enough.
#pragma once

#include <memory>
#include <string>

#include "io/dataset/dataset.h"
#include "runtime/communication/communicator.h"

namespace lockstep {

struct NodeDataset {
  std::shared_ptr<const Dataset> data;
  bool resident = false;  // in memory
  std::string access;     // for the log: where rows come from, and why
};

// A collective of all ranks. Data of up to `memory_limit` bytes are read into memory, by `threads`
// threads of the one rank of a node that does so.
NodeDataset open_on_node(const DataSource& source, Communicator& communicator,
                         std::size_t memory_limit, int threads);

}  // namespace lockstep
