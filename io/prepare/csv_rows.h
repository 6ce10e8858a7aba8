// CsvRows: a CSV file as the rows of a dataset, encoded block by block as they are asked for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/dataset/row_source.h"
#include "io/prepare/csv_encoding.h"

namespace lockstep {

struct CsvRowsOptions {
  std::vector<std::int64_t> rows;     // of the file, in this order
  std::vector<std::size_t> targets;   // columns
  std::vector<std::string> classes;   // of the one target, by label; empty: targets are numbers
  std::optional<std::size_t> weight;  // column
};

class CsvRows final : public RowSource {
 public:
  CsvRows(std::shared_ptr<CsvFile> file, CsvRowsOptions options);

  // What x holds; before any row is read.
  void encode_with(CsvEncoding encoding);
  const RowLayout& layout() const override { return layout_; }
  void read(std::span<const std::int64_t> rows, const RowBlock& to) override;
  std::vector<std::int64_t> labels() override;

 private:
  // Rows of the file for rows of this source.
  std::vector<std::int64_t> in_file(std::span<const std::int64_t> rows) const;

  std::shared_ptr<CsvFile> file_;
  CsvRowsOptions options_;
  CsvEncoding encoding_;
  RowLayout layout_;
};

// Throws unless the cell is a number that is not negative.
float weight_in(const CsvTable& table, std::int64_t row, std::size_t column);

}  // namespace lockstep
