// StepRows: the rows that a rank needs of one step, as they are stored, of a dataset whose rows are
// unpacked together. Several threads read them, each a share of the chunks, so that a chunk is
// unpacked once a step whichever shards its rows belong to.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "io/dataset/row_source.h"

namespace lockstep {

class StepRows {
 public:
  struct Wanted {
    std::int64_t row;    // of the dataset
    std::int64_t place;  // here
    auto operator<=>(const Wanted&) const = default;
  };

  StepRows(const Dataset& dataset, std::int64_t most_rows) : rows_(layout_of(dataset), most_rows) {}

  // The rows of share `share` of the chunks that `wanted` lie in, which together are cut into
  // `shares`; from several threads, each with another share and a `scratch` of its own.
  void read_share(const Dataset& dataset, std::vector<Wanted> wanted, std::size_t share,
                  std::size_t shares, std::optional<RowBlock>& scratch);

  RowBlock slice(std::int64_t begin, std::int64_t end) const { return rows_.slice(begin, end); }

 private:
  RowBlock rows_;
};

}  // namespace lockstep
