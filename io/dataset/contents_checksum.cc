#include "io/dataset/contents_checksum.h"

#include <algorithm>

#include "io/hdf5/hdf5.h"

namespace lockstep {

namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{8} << 20;  // one pread or H5Dread

}  // namespace

void ContentsChecksum::add(const RowBlock& rows) {
  rows_ += rows.x.rows();
  x_.update(rows.x.raw(), rows.x.bytes());
  if (rows.y) y_.update(rows.y.raw(), rows.y.bytes());
  if (rows.weight) weight_.update(rows.weight.raw(), rows.weight.bytes());
}

std::string ContentsChecksum::text() const {
  std::string text = fmt::format("x {} {} {:016x}", name_of(layout_.x_type),
                                 layout_.sample.with_rows(rows_).to_string(), x_.value());
  if (layout_.target != TargetKind::kNone)
    text += fmt::format(" y {} {} {:016x}", name_of(layout_.y_type()),
                        layout_.y_shape(rows_).to_string(), y_.value());
  if (layout_.weight) text += fmt::format(" weight {:016x}", weight_.value());
  return checksum_text(checksum(text));
}

std::string contents_checksum(const Dataset& dataset) {
  const RowLayout layout = layout_of(dataset);
  const std::int64_t most = std::clamp<std::int64_t>(
      kBlockBytes / static_cast<std::int64_t>(layout.row_bytes()), 1, layout.rows);
  const RowBlock block(layout, most);
  ContentsChecksum checksum(layout);
  for_each_rows(layout.rows, most, [&](std::span<const std::int64_t> rows) {
    RowBlock values = block.head(static_cast<std::int64_t>(rows.size()));
    dataset.read(rows, values.x, values.y, values.weight);
    checksum.add(values);
  });
  return checksum.text();
}

std::string file_checksum(const std::string& file) {
  const hdf5::File opened = hdf5::File::open(file);
  std::string text;
  for (const char* group : {"/train", "/validation", "/test"}) {
    if (!opened.has_group(group)) continue;
    const std::unique_ptr<Dataset> part = Dataset::open({.file = file, .group = group});
    text += fmt::format("{} {} ", group, contents_checksum(*part));
  }
  return checksum_text(checksum(text));
}

}  // namespace lockstep
