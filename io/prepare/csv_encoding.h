// How the columns of a CSV file become the columns of x: numbers as they are, categories one-hot or
// by their place in the sorted list. A dataset file carries it as JSON, so that rows of other files
// can be given to the trained model. Nothing is standardised here: mean and standard deviation are
// attributes that the loader applies.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/formats/csv_file.h"
#include "kernels/core/tensor.h"

namespace lockstep {

enum class CategoryCoding { kOneHot, kOrdinal };
enum class MissingValues { kError, kDrop, kMean };

struct CsvColumnEncoding {
  std::string name;
  enum class Kind { kNumber, kOneHot, kOrdinal } kind = Kind::kNumber;
  std::vector<std::string> values;  // categories in the order of their codes; sorted
  // What stands for a missing cell: the mean of a number, the most frequent category's name.
  std::optional<std::string> fill;
};

class CsvEncoding {
 public:
  CsvEncoding() = default;
  explicit CsvEncoding(const std::string& json);  // throws if it is none

  // Kinds and categories of the given columns from the given rows. A column is one of numbers if
  // more than half of its cells are numbers; then any other text is an Error naming the line.
  // `categorical`: columns that hold categories though they may look like numbers.
  static CsvEncoding learn(CsvFile& file, std::span<const std::size_t> columns,
                           std::span<const std::int64_t> rows,
                           std::span<const std::size_t> categorical, CategoryCoding coding);
  // Learns what stands for missing cells from the training rows.
  void learn_fills(CsvFile& file, std::span<const std::int64_t> train_rows);

  const std::vector<CsvColumnEncoding>& columns() const { return columns_; }
  std::vector<std::string> names() const;  // of x's columns: "age", "sex=female"
  std::string json() const;

  // float32 (rows, names().size()). Columns are found by name. Errors name the line: a missing cell
  // without a fill, text in a column of numbers, a category that is not in the list.
  Tensor encode(const CsvTable& table, std::span<const std::int64_t> rows) const;

 private:
  std::vector<CsvColumnEncoding> columns_;
};

// The number that a cell must be, representable in float32; else an Error naming line and column.
double number_in(const CsvTable& table, std::int64_t row, std::size_t column);

// Distinct values of a column, missing cells left out.
class Categories {
 public:
  void add(std::string_view cell);
  // By value if all are numbers (which are then written in one way, 1.0 as 1), else by their bytes.
  std::vector<std::string> sorted() const;

 private:
  std::set<std::string, std::less<>> found_;
};
// Codes of the given rows' cells: places in `values`, -1 for a missing cell. A cell that is not
// among them is an Error naming the line.
std::vector<std::int64_t> category_codes(const CsvTable& table, std::size_t column,
                                         std::span<const std::int64_t> rows,
                                         std::span<const std::string> values);

}  // namespace lockstep
