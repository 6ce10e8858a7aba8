#include "io/prepare/csv_rows.h"

#include <cstring>
#include <utility>

namespace lockstep {
namespace {

template <typename T>
void copy_into(std::span<const T> values, const Tensor& to, std::int64_t first_row) {
  const auto width = to.shape().without_rows().elements();
  std::memcpy(to.data<T>() + first_row * width, values.data(), values.size_bytes());
}

}  // namespace

CsvRows::CsvRows(std::shared_ptr<CsvFile> file, CsvRowsOptions options)
    : file_(std::move(file)),
      options_(std::move(options)),
      layout_{.rows = static_cast<std::int64_t>(options_.rows.size()),
              .target = options_.classes.empty() ? TargetKind::kValues : TargetKind::kClass,
              .target_columns = static_cast<std::int64_t>(options_.targets.size()),
              .weight = options_.weight.has_value()} {}

void CsvRows::encode_with(CsvEncoding encoding) {
  encoding_ = std::move(encoding);
  layout_.sample = {static_cast<std::int64_t>(encoding_.names().size())};
}

std::vector<std::int64_t> CsvRows::in_file(std::span<const std::int64_t> rows) const {
  std::vector<std::int64_t> places;
  places.reserve(rows.size());
  for (const std::int64_t row : rows)
    places.push_back(options_.rows[static_cast<std::size_t>(row)]);
  return places;
}

void CsvRows::read(std::span<const std::int64_t> rows, const RowBlock& to) {
  std::int64_t first = 0;
  file_->for_each_block(in_file(rows), [&](const CsvTable& table,
                                           std::span<const std::int64_t> in_table) {
    copy_into<float>(encoding_.encode(table, in_table).span<float>(), to.x, first);
    if (options_.classes.empty()) {
      float* y = to.y.data<float>() + first * layout_.target_columns;
      for (const std::int64_t row : in_table)
        for (const std::size_t column : options_.targets)
          *y++ = static_cast<float>(number_in(table, row, column));
    } else {
      copy_into<std::int64_t>(
          category_codes(table, options_.targets.front(), in_table, options_.classes), to.y, first);
    }
    for (std::size_t i = 0; options_.weight && i < in_table.size(); ++i)
      to.weight.data<float>()[first + static_cast<std::int64_t>(i)] =
          weight_in(table, in_table[i], *options_.weight);
    first += static_cast<std::int64_t>(in_table.size());
  });
}

std::vector<std::int64_t> CsvRows::labels() {
  std::vector<std::int64_t> labels;
  if (options_.classes.empty()) return labels;
  labels.reserve(options_.rows.size());
  file_->for_each_block(
      options_.rows, [&](const CsvTable& table, std::span<const std::int64_t> in_table) {
        const std::vector<std::int64_t> codes =
            category_codes(table, options_.targets.front(), in_table, options_.classes);
        labels.insert(labels.end(), codes.begin(), codes.end());
      });
  return labels;
}

float weight_in(const CsvTable& table, std::int64_t row, std::size_t column) {
  const auto weight = static_cast<float>(number_in(table, row, column));
  if (weight < 0)
    throw Error("{}, line {}, column '{}': a weight of {} is negative", table.path(),
                table.line(static_cast<std::size_t>(row)), table.columns()[column], weight);
  return weight;
}

}  // namespace lockstep
