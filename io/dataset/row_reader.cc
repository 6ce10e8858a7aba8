#include "io/dataset/row_reader.h"

#include <algorithm>
#include <cstring>
#include <numeric>
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

RowReader::RowReader(hdf5::Dataset dataset, std::shared_ptr<const FileReader> file, DType type,
                     std::size_t cache_bytes)
    : RowReader(std::move(dataset), std::move(file), type, Planes{}, cache_bytes) {}

RowReader::RowReader(hdf5::Dataset dataset, std::shared_ptr<const FileReader> file, DType type,
                     Planes planes, std::size_t cache_bytes)
    : dataset_(std::move(dataset)),
      file_(std::move(file)),
      type_(type),
      planes_(planes),
      row_elements_(static_cast<std::size_t>(dataset_.row_elements())),
      row_bytes_(row_elements_ * size_of(type)),
      where_(dataset_.where()),
      convert_(element_conversion(dataset_.type(), type, false)),
      convert_native_(element_conversion(dataset_.type(), type, true)) {
  if (file_->path() != dataset_.storage_file())  // behind an external link
    file_ = std::make_shared<const FileReader>(dataset_.storage_file());
  if (dataset_.chunk_storage() && convert_ != nullptr && !hdf5::ChunkStore::unsupported(dataset_))
    chunks_ = std::make_shared<const ChunkedRows>(hdf5::ChunkStore(dataset_, file_), size_of(type),
                                                  cache_bytes);
}

std::string RowReader::access() const {
  std::string text = dataset_.layout();
  if (dataset_.type().native != type_)
    text += fmt::format(", {} converted to {}", dataset_.type().name, name_of(type_));
  if (contiguous()) return text + ", read by pread";
  if (chunks_)
    return text + (chunks_->store().filtered() ? ", unpacked by own threads" : ", read by pread");
  return text + ", read through the HDF5 library";
}

void RowReader::keep_if_small() {
  if (static_cast<std::size_t>(dataset_.rows()) * row_bytes_ <= kMostKept)
    kept_ = std::make_shared<Kept>();
}

void RowReader::read_kept(std::span<const std::int64_t> rows, std::byte* out) const {
  std::call_once(kept_->once, [&] {
    std::vector<std::int64_t> all(static_cast<std::size_t>(dataset_.rows()));
    std::iota(all.begin(), all.end(), 0);
    kept_->rows = std::make_unique_for_overwrite<std::byte[]>(all.size() * row_bytes_);
    read_stored(all, kept_->rows.get());
  });
  for (std::size_t i = 0; i < rows.size(); ++i) {
    LOCKSTEP_CHECK(0 <= rows[i] && rows[i] < dataset_.rows(), "row {} of {} rows", rows[i],
                   dataset_.rows());
    std::memcpy(out + i * row_bytes_,
                kept_->rows.get() + static_cast<std::size_t>(rows[i]) * row_bytes_, row_bytes_);
  }
}

void RowReader::read(std::span<const std::int64_t> rows, std::byte* out) const {
  if (kept_) return read_kept(rows, out);
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
  if (contiguous())
    read_contiguous(rows, out);
  else if (chunks_)
    chunks_->read(rows, convert_, out);
  else if (strictly_ascending(rows))
    read_by_library(rows, out);
  else
    read_sorted(rows, out);
}

void RowReader::read_contiguous(std::span<const std::int64_t> rows, std::byte* out) const {
  const bool as_stored = dataset_.type().native == type_;
  const std::size_t stored_bytes = row_elements_ * dataset_.type().bytes;
  std::vector<std::byte> staged;
  std::size_t first = 0;
  while (first < rows.size()) {
    std::size_t last = first + 1;
    while (last < rows.size() && rows[last] == rows[last - 1] + 1) ++last;
    const std::uint64_t place =
        *dataset_.offset() + static_cast<std::uint64_t>(rows[first]) * stored_bytes;
    std::byte* to = out + first * row_bytes_;
    if (as_stored) {
      file_->read_at(place, {to, (last - first) * row_bytes_});
    } else {
      staged.resize((last - first) * stored_bytes);
      file_->read_at(place, staged);
      convert_(staged.data(), to, (last - first) * row_elements_);
    }
    first = last;
  }
}

void RowReader::read_by_library(std::span<const std::int64_t> ascending, std::byte* out) const {
  if (convert_native_ == nullptr || dataset_.type().native == type_)
    return dataset_.read_rows(ascending, type_, out);
  const std::size_t elements = ascending.size() * row_elements_;
  const auto staged = std::make_unique_for_overwrite<std::byte[]>(elements * dataset_.type().bytes);
  dataset_.read_stored_rows(ascending, staged.get());
  convert_native_(staged.get(), out, elements);
}

void RowReader::read_sorted(std::span<const std::int64_t> rows, std::byte* out) const {
  std::vector<std::int64_t> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  const auto staged = std::make_unique_for_overwrite<std::byte[]>(sorted.size() * row_bytes_);
  read_by_library(sorted, staged.get());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto place = std::lower_bound(sorted.begin(), sorted.end(), rows[i]) - sorted.begin();
    std::memcpy(out + i * row_bytes_, staged.get() + static_cast<std::size_t>(place) * row_bytes_,
                row_bytes_);
  }
}

}  // namespace lockstep
