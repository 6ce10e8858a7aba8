// CsvFile: a CSV file in blocks of rows, for files that need not fit into memory. One pass over the
// text checks every row and finds where blocks begin; then any of them is had by reading it again.
#pragma once

#include <functional>
#include <span>

#include "io/formats/csv.h"

namespace lockstep {

class CsvFile {
 public:
  static constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

  // Blocks hold about `block_bytes` of text, and one row at least. What is no regular file (a pipe)
  // is one block. Throws as CsvTable::read does.
  CsvFile(const std::string& path, const CsvOptions& options,
          std::size_t block_bytes = kBlockBytes);

  const std::string& path() const { return path_; }
  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t column(const std::string& name, std::string_view what) const {  // as CsvTable's
    return find_csv_column(path_, columns_, name, what);
  }
  std::int64_t rows() const { return rows_; }
  std::size_t memory_bytes() const { return memory_bytes_; }  // of the largest block

  // Calls visit(block, rows_in_block) until it has seen the given rows of the file in their order;
  // neighbours that lie in one block come together. Throws if the file has changed.
  using Visit = std::function<void(const CsvTable&, std::span<const std::int64_t>)>;
  void for_each_block(std::span<const std::int64_t> rows, const Visit& visit);

 private:
  struct Place {
    std::uint64_t begin, end;         // of the text
    std::int64_t line, first, count;  // first line; first row and how many
  };
  void find_blocks(std::size_t block_bytes);
  void load(std::size_t index);

  static constexpr std::size_t kNone = ~std::size_t{0};

  std::string path_;
  CsvOptions options_;
  std::vector<std::string> columns_;
  std::vector<Place> places_;
  std::size_t loaded_ = kNone;  // which of them block_ is
  CsvTable block_;
  std::int64_t rows_ = 0;
  std::size_t memory_bytes_ = 0;
};

}  // namespace lockstep
