// Datasets in memory: one copy a node where they fit into a quarter of what the control group allows.
#pragma once

#include <memory>
#include <string>

#include "io/dataset.h"
#include "runtime/communicator.h"

namespace lockstep {

struct NodeDataset {
  std::shared_ptr<const Dataset> data;
  std::string access;   // one line for the log: where rows come from, and why
};

// A collective of all ranks. `memory_limit` is in bytes.
NodeDataset open_on_node(const DataSource& source, Communicator& communicator,
                         std::size_t memory_limit);

}  // namespace lockstep
