// One pass over the text; quoted cells are unquoted in place, which never lengthens them.
#include "io/formats/csv.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "io/base/file.h"
#include "kernels/core/error.h"

namespace lockstep {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool equal_ignoring_case(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == y;
  });
}

// Walks the text cell by cell.
class Scanner {
 public:
  Scanner(const std::string& path, std::string& text, char delimiter, std::int64_t line)
      : path_(path), text_(text), delimiter_(delimiter), line_(line), row_line_(line) {
    if (line == 1 && text_.starts_with("\xEF\xBB\xBF")) place_ = 3;
  }

  // Skips empty lines; false at the end of the file.
  bool next_row() {
    while (place_ < text_.size() && at_line_end()) skip_line_end();
    row_line_ = line_;
    return place_ < text_.size();
  }
  std::int64_t row_line() const { return row_line_; }
  std::int64_t line() const { return line_; }
  std::size_t place() const { return place_; }
  bool at_end() const { return place_ == text_.size(); }
  void require_closed_quotes() const {
    if (open_quote_)
      throw Error("{}, line {}: a quoted cell never closes; a quote inside one is written \"\"",
                  path_, row_line_);
  }

  struct Cell {
    std::size_t begin, end;
    bool last;  // of its row
  };
  Cell next_cell() {
    while (place_ < text_.size() && is_blank(text_[place_]) && text_[place_] != delimiter_)
      ++place_;
    Cell cell = place_ < text_.size() && text_[place_] == '"' ? quoted() : plain();
    cell.last = place_ == text_.size() || at_line_end();
    if (!cell.last)
      ++place_;
    else if (place_ < text_.size())
      skip_line_end();
    return cell;
  }

 private:
  bool at_line_end() const {
    return text_[place_] == '\n' ||
           (text_[place_] == '\r' && (place_ + 1 == text_.size() || text_[place_ + 1] == '\n'));
  }
  void skip_line_end() {
    place_ += text_[place_] == '\r' && place_ + 1 < text_.size() ? 2 : 1;
    ++line_;
  }

  Cell plain() {
    const std::size_t begin = place_;
    while (place_ < text_.size() && text_[place_] != delimiter_ && !at_line_end()) ++place_;
    std::size_t end = place_;
    while (end > begin && is_blank(text_[end - 1])) --end;
    return {begin, end, false};
  }

  Cell quoted() {
    const std::size_t begin = ++place_;
    std::size_t end = begin;
    for (;; ++place_) {
      if (place_ == text_.size()) {
        open_quote_ = true;
        return {begin, end, false};
      }
      if (text_[place_] == '"') {
        if (place_ + 1 == text_.size() || text_[place_ + 1] != '"') break;
        ++place_;
      }
      if (text_[place_] == '\n') ++line_;
      text_[end++] = text_[place_];
    }
    ++place_;
    while (place_ < text_.size() && is_blank(text_[place_]) && text_[place_] != delimiter_)
      ++place_;
    if (place_ < text_.size() && text_[place_] != delimiter_ && !at_line_end())
      throw Error("{}, line {}: text after a closing quote; a quote inside a cell is written \"\"",
                  path_, line_);
    return {begin, end, false};
  }

  const std::string& path_;
  std::string& text_;
  const char delimiter_;
  std::size_t place_ = 0;
  std::int64_t line_, row_line_;
  bool open_quote_ = false;
};

}  // namespace

CsvTable CsvTable::read(const std::string& path, const CsvOptions& options) {
  CsvTable table(path, {}, read_text(path));
  table.parse(options, 1, true);
  check(path, table.columns_, static_cast<std::int64_t>(table.rows()));
  return table;
}

CsvTable::Parsed CsvTable::parse(const CsvOptions& options, std::int64_t line, bool whole) {
  Scanner scanner(path_, text_, options.delimiter, line);
  Parsed parsed{0, 0, line, line};
  while (scanner.next_row()) {
    const std::size_t before = begins_.size();
    for (bool last = false; !last;) {
      const Scanner::Cell cell = scanner.next_cell();
      begins_.push_back(cell.begin);
      ends_.push_back(cell.end);
      last = cell.last;
    }
    if (!whole && scanner.at_end()) {
      begins_.resize(before);
      ends_.resize(before);
      return parsed;
    }
    scanner.require_closed_quotes();
    parsed.end = scanner.place();
    parsed.end_line = scanner.line();
    const std::size_t cells = begins_.size() - before;
    if (columns_.empty()) {
      for (std::size_t i = 0; i < cells; ++i)
        columns_.push_back(options.header ? std::string(cell(0, i)) : std::to_string(i));
      if (options.header) {
        begins_.clear();
        ends_.clear();
        parsed.first = parsed.end;
        parsed.first_line = parsed.end_line;
        continue;
      }
    }
    if (cells != columns_.size())
      throw Error(
          "{}, line {}: {} cells, where {} has {}; check the delimiter ('{}') and the quotes",
          path_, scanner.row_line(), cells, options.header ? "the header" : "the first row",
          columns_.size(), options.delimiter);
    lines_.push_back(scanner.row_line());
  }
  return parsed;
}

void CsvTable::check(const std::string& path, const std::vector<std::string>& columns,
                     std::int64_t rows) {
  if (rows == 0) throw Error("{}: no rows{}", path, columns.empty() ? "" : " after the header");
  std::vector<std::string> names = columns;
  std::sort(names.begin(), names.end());
  if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    throw Error("{}: two columns are named '{}'; give each a name of its own", path, *twice);
}

std::size_t find_csv_column(const std::string& path, const std::vector<std::string>& columns,
                            const std::string& name, std::string_view what) {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found != columns.end()) return static_cast<std::size_t>(found - columns.begin());
  std::size_t number = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  if (error == std::errc() && stop == end && number < columns.size()) return number;
  throw Error("{}: no column '{}' ({}); the columns are: {}", path, name, what,
              fmt::join(columns, ", "));
}

bool is_missing(std::string_view cell) {
  constexpr std::array<std::string_view, 4> kWords = {"na", "n/a", "nan", "?"};
  return cell.empty() || std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
           return equal_ignoring_case(cell, word);
         });
}

std::optional<double> parse_number(std::string_view cell) {
  if (cell.size() > 1 && cell.front() == '+' && cell[1] != '-') cell.remove_prefix(1);
  double value = 0;
  const char* end = cell.data() + cell.size();
  const auto [stop, error] = std::from_chars(cell.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace lockstep
