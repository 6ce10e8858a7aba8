#include "io/loading/step_rows.h"

#include <algorithm>
#include <cstring>

namespace lockstep {

namespace {

void copy_row(const Tensor& from, std::int64_t row, const Tensor& to, std::int64_t place) {
  if (!from) return;
  const std::size_t bytes = from.bytes() / static_cast<std::size_t>(from.rows());
  std::memcpy(to.raw() + static_cast<std::size_t>(place) * bytes,
              from.raw() + static_cast<std::size_t>(row) * bytes, bytes);
}

}  // namespace

void StepRows::read_share(const Dataset& dataset, std::vector<Wanted> wanted, std::size_t share,
                          std::size_t shares, std::optional<RowBlock>& scratch) {
  std::sort(wanted.begin(), wanted.end());
  std::vector<std::size_t> begins;  // of each chunk's rows; then the end
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (i == 0 || dataset.chunk_of(wanted[i].row) != dataset.chunk_of(wanted[i - 1].row))
      begins.push_back(i);
  const std::size_t chunks = begins.size();
  begins.push_back(wanted.size());
  const std::size_t first = begins[chunks * share / shares];
  const std::size_t last = begins[chunks * (share + 1) / shares];
  if (first == last) return;

  const auto count = static_cast<std::int64_t>(last - first);
  if (!scratch || scratch->x.rows() < count) scratch.emplace(layout_of(dataset), count);
  RowBlock read = scratch->head(count);
  std::vector<std::int64_t> rows;
  for (std::size_t i = first; i < last; ++i) rows.push_back(wanted[i].row);
  dataset.read(rows, read.x, read.y, read.weight);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t place = wanted[first + static_cast<std::size_t>(i)].place;
    copy_row(read.x, i, rows_.x, place);
    copy_row(read.y, i, rows_.y, place);
    copy_row(read.weight, i, rows_.weight, place);
  }
}

}  // namespace lockstep
