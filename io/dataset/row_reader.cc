#include "io/dataset/row_reader.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

bool strictly_ascending(std::span<const std::int64_t> rows) {
  return std::adjacent_find(rows.begin(), rows.end(), std::greater_equal<>()) == rows.end();
}

// (C, pixels) -> (pixels, C)
template <typename Element>
void interleave(const std::byte* planes, std::int64_t channels, std::int64_t pixels,
                std::byte* out) {
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    const std::byte* from = planes + static_cast<std::size_t>(channel * pixels) * sizeof(Element);
    std::byte* to = out + static_cast<std::size_t>(channel) * sizeof(Element);
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      std::memcpy(to, from, sizeof(Element));
      from += sizeof(Element);
      to += static_cast<std::size_t>(channels) * sizeof(Element);
    }
  }
}

}  // namespace

RowReader::RowReader(hdf5::Dataset dataset, std::shared_ptr<const FileReader> file, DType type)
    : RowReader(std::move(dataset), std::move(file), type, Planes{}) {}

RowReader::RowReader(hdf5::Dataset dataset, std::shared_ptr<const FileReader> file, DType type,
                     Planes planes)
    : dataset_(std::move(dataset)),
      file_(std::move(file)),
      type_(type),
      planes_(planes),
      row_bytes_(static_cast<std::size_t>(dataset_.row_elements()) * size_of(type)),
      where_(dataset_.where()) {}

bool RowReader::direct() const {
  return dataset_.offset() && dataset_.type().native == type_;
}

std::string RowReader::access() const {
  if (direct()) return "contiguous, read by pread";
  const std::string converted =
      dataset_.type().native == type_
          ? ""
          : fmt::format(", {} converted to {}", dataset_.type().name, name_of(type_));
  return fmt::format("{}{}, read through the HDF5 library", dataset_.layout(), converted);
}

void RowReader::read(std::span<const std::int64_t> rows, std::byte* out) const {
  if (planes_.channels <= 1) return read_stored(rows, out);
  const auto stored = std::make_unique_for_overwrite<std::byte[]>(rows.size() * row_bytes_);
  read_stored(rows, stored.get());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::byte* from = stored.get() + i * row_bytes_;
    std::byte* to = out + i * row_bytes_;
    switch (size_of(type_)) {
      case 1:
        interleave<std::uint8_t>(from, planes_.channels, planes_.pixels, to);
        break;
      case 4:
        interleave<float>(from, planes_.channels, planes_.pixels, to);
        break;
      default:
        interleave<std::int64_t>(from, planes_.channels, planes_.pixels, to);
        break;
    }
  }
}

void RowReader::read_stored(std::span<const std::int64_t> rows, std::byte* out) const {
  for (std::int64_t row : rows)
    LOCKSTEP_CHECK(0 <= row && row < dataset_.rows(), "row {} of {} rows", row, dataset_.rows());
  if (direct())
    read_direct(rows, out);
  else if (strictly_ascending(rows))
    dataset_.read_rows(rows, type_, out);
  else
    read_sorted(rows, out);
}

void RowReader::read_direct(std::span<const std::int64_t> rows, std::byte* out) const {
  std::size_t first = 0;
  while (first < rows.size()) {
    std::size_t last = first + 1;
    while (last < rows.size() && rows[last] == rows[last - 1] + 1) ++last;
    file_->read_at(*dataset_.offset() + static_cast<std::uint64_t>(rows[first]) * row_bytes_,
                   {out + first * row_bytes_, (last - first) * row_bytes_});
    first = last;
  }
}

void RowReader::read_sorted(std::span<const std::int64_t> rows, std::byte* out) const {
  std::vector<std::int64_t> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  const auto staged = std::make_unique_for_overwrite<std::byte[]>(sorted.size() * row_bytes_);
  dataset_.read_rows(sorted, type_, staged.get());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), rows[i]) - sorted.begin();
    std::memcpy(out + i * row_bytes_, staged.get() + static_cast<std::size_t>(place) * row_bytes_,
                row_bytes_);
  }
}

}  // namespace lockstep
