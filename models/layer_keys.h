// LayerKeys: the keys of one table of [[model.layers]], and what the network asks of that layer.
#pragma once

#include "runtime/config/table_keys.h"

namespace lockstep {

class LayerKeys : public TableKeys {
 public:
  // `outputs`: what the loss asks for, for the last linear layer of the network; 0 for all others.
  LayerKeys(const ConfigTable& table, std::span<const TableKey> known, std::string path,
            std::int64_t outputs = 0)
      : TableKeys(table, known, std::move(path)), outputs_(outputs) {}

  std::int64_t outputs() const { return outputs_; }

 private:
  std::int64_t outputs_;
};

}  // namespace lockstep
