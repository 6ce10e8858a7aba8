// Comma-separated text as RFC 4180 describes it, with what real files add: any one-character
// delimiter, CRLF or LF, a UTF-8 byte order mark, empty lines (skipped), blanks around cells that
// are not quoted (dropped).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

struct CsvOptions {
  char delimiter = ',';
  bool header = true;  // without one, columns are named "0", "1", ...
};

// Which of `columns` that name is, or that number counted from 0; an unknown one is an Error that
// lists the columns and calls the asker `what`.
std::size_t find_csv_column(const std::string& path, const std::vector<std::string>& columns,
                            const std::string& name, std::string_view what);

class CsvTable {
 public:
  // Throws Error naming file and line: ragged rows, a quote that never closes, no rows at all.
  static CsvTable read(const std::string& path, const CsvOptions& options);

  const std::string& path() const { return path_; }
  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return lines_.size(); }
  std::string_view cell(std::size_t row, std::size_t column) const {
    const std::size_t place = row * columns_.size() + column;
    return std::string_view(text_).substr(begins_[place], ends_[place] - begins_[place]);
  }
  std::size_t memory_bytes() const {
    return text_.size() + (begins_.size() + ends_.size() + lines_.size()) * sizeof(std::size_t);
  }
  std::int64_t line(std::size_t row) const { return lines_[row]; }  // counted from 1

  std::size_t column(const std::string& name, std::string_view what) const {
    return find_csv_column(path_, columns_, name, what);
  }

 private:
  friend class CsvFile;  // of which it is a block

  // Of the text: where the first row of data begins, and where the last one that is complete ends.
  struct Parsed {
    std::size_t first = 0, end = 0;
    std::int64_t first_line = 0, end_line = 0;
  };

  CsvTable() = default;
  // `columns`: their names where earlier text gave them.
  CsvTable(std::string path, std::vector<std::string> columns, std::string text)
      : path_(std::move(path)), text_(std::move(text)), columns_(std::move(columns)) {}
  // `line`: of the text's begin. Unless the text is `whole`, a row that reaches to its end is left
  // out.
  Parsed parse(const CsvOptions& options, std::int64_t line, bool whole);
  // Throws unless there are rows and every column has a name of its own.
  static void check(const std::string& path, const std::vector<std::string>& columns,
                    std::int64_t rows);

  std::string path_;
  std::string text_;  // the file's text, unquoted in place
  std::vector<std::string> columns_;
  std::vector<std::size_t> begins_, ends_;  // of the cells in text_, row by row
  std::vector<std::int64_t> lines_;
};

bool is_missing(std::string_view cell);  // empty, NA, N/A, nan or ?, in any case
// The finite decimal number that the whole cell is, whatever the locale.
std::optional<double> parse_number(std::string_view cell);

}  // namespace lockstep
