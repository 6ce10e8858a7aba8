// Rows whose x are equal to the bit: within a part, and between parts, where they make a test
// measure what was learnt by heart.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/dataset/dataset.h"

namespace lockstep {

// A hash of 128 bits of each row's x: two XXH64 with different seeds. That two different rows among
// a billion share one is less likely than 1e-20.
class RowHashes {
 public:
  explicit RowHashes(std::int64_t rows) { hashes_.reserve(static_cast<std::size_t>(rows)); }

  void add(const Tensor& x);  // the next rows, in file order
  void finish();              // after the last one

  struct Entry {
    std::array<std::uint64_t, 2> hash;
    std::int64_t row;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  std::span<const Entry> sorted() const { return hashes_; }  // by hash, then row

 private:
  std::vector<Entry> hashes_;
};
RowHashes hash_rows(const Dataset& dataset);

struct Duplicates {
  std::int64_t rows = 0;  // of the second part that stand in the first one too
  // The first of them by row: (row of the first part, row of the second).
  std::vector<std::pair<std::int64_t, std::int64_t>> first;
};
Duplicates duplicates_between(const RowHashes& first, const RowHashes& second);
// Rows that repeat an earlier row of the same part; pairs are (earlier, later).
Duplicates duplicates_within(const RowHashes& part);

// "row 5 = row 17, row 9 = row 30, ...", the rows of `duplicates.first` under the parts' names.
std::string pairs_text(const Duplicates& duplicates, const std::string& first,
                       const std::string& second);

}  // namespace lockstep
