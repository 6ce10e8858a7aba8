#include "io/formats/csv_file.h"

#include <algorithm>
#include <filesystem>

#include "io/base/file.h"
#include "kernels/core/error.h"

namespace lockstep {
namespace {

std::string text_at(const FileReader& reader, std::uint64_t offset, std::uint64_t bytes) {
  std::string text(static_cast<std::size_t>(bytes), '\0');
  reader.read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace

CsvFile::CsvFile(const std::string& path, const CsvOptions& options, std::size_t block_bytes)
    : path_(path), options_(options) {
  if (std::error_code none;
      std::filesystem::exists(path, none) && !std::filesystem::is_regular_file(path, none)) {
    block_ = CsvTable::read(path, options);
    loaded_ = 0;
    columns_ = block_.columns();
    rows_ = static_cast<std::int64_t>(block_.rows());
    memory_bytes_ = block_.memory_bytes();
    places_ = {{0, 0, 1, 0, rows_}};
    return;
  }
  find_blocks(std::max<std::size_t>(1, block_bytes));
  CsvTable::check(path_, columns_, rows_);
}

// A row that reaches to the end of what was read may go on behind it: it begins the next block.
void CsvFile::find_blocks(std::size_t block_bytes) {
  const FileReader reader(path_);
  std::size_t window = block_bytes;
  std::int64_t line = 1;
  for (std::uint64_t offset = 0; offset < reader.size();) {
    const std::uint64_t bytes = std::min<std::uint64_t>(window, reader.size() - offset);
    const bool last = offset + bytes == reader.size();
    CsvTable table(path_, columns_, text_at(reader, offset, bytes));
    const CsvTable::Parsed parsed = table.parse(options_, line, last);
    columns_ = table.columns();
    const auto count = static_cast<std::int64_t>(table.rows());
    if (count > 0) {
      places_.push_back(
          {offset + parsed.first, offset + parsed.end, parsed.first_line, rows_, count});
      rows_ += count;
      memory_bytes_ = std::max(memory_bytes_, table.memory_bytes());
    }
    if (last) return;
    window = parsed.end == 0 ? 2 * window : block_bytes;
    offset += parsed.end;
    line = parsed.end_line;
  }
}

void CsvFile::load(std::size_t index) {
  if (index == loaded_) return;
  const Place& place = places_[index];
  const FileReader reader(path_);
  loaded_ = kNone;
  block_ = CsvTable(path_, columns_, text_at(reader, place.begin, place.end - place.begin));
  block_.parse(options_, place.line, true);
  if (static_cast<std::int64_t>(block_.rows()) != place.count)
    throw Error("{}: the file changed while it was read; begin again once it is complete", path_);
  loaded_ = index;
}

void CsvFile::for_each_block(std::span<const std::int64_t> rows, const Visit& visit) {
  std::vector<std::int64_t> in_block;
  for (std::size_t next = 0; next < rows.size();) {
    const auto behind =
        std::upper_bound(places_.begin(), places_.end(), rows[next],
                         [](std::int64_t row, const Place& place) { return row < place.first; });
    const Place& place = *(behind - 1);
    in_block.clear();
    for (; next < rows.size(); ++next) {
      const std::int64_t row = rows[next] - place.first;
      if (row < 0 || row >= place.count) break;
      in_block.push_back(row);
    }
    load(static_cast<std::size_t>(behind - places_.begin()) - 1);
    visit(block_, in_block);
  }
}

}  // namespace lockstep
