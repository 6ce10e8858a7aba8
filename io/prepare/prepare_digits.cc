// The bundled digits: a CSV file whose first column is the label and whose others are the pixels of
// an 8×8 image, row by row.
#include <cmath>

#include "io/formats/csv.h"
#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

constexpr std::int64_t kSide = 8, kClasses = 10;
constexpr double kLargestGrey = 16;

std::int64_t whole_number(const CsvTable& table, std::size_t row, std::size_t column,
                          double largest) {
  const std::optional<double> value = parse_number(table.cell(row, column));
  if (!value || *value < 0 || *value > largest || *value != std::floor(*value))
    throw Error("{}, line {}, column '{}': '{}' is no whole number from 0 to {}", table.path(),
                table.line(row), table.columns()[column], table.cell(row, column), largest);
  return static_cast<std::int64_t>(*value);
}

}  // namespace

void prepare_digits(const DigitsOptions& options, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  const CsvTable table = CsvTable::read(options.file, {});
  const std::size_t pixels = kSide * kSide;
  if (table.columns().size() != pixels + 1)
    throw Error("{}: {} columns, where a label and {} pixels are expected", options.file,
                table.columns().size(), pixels);
  const auto rows = static_cast<std::int64_t>(table.rows());
  const Tensor images = host_tensor({rows, kSide, kSide, 1}, DType::kUInt8);
  const Tensor labels = host_tensor({rows}, DType::kInt64);
  require_memory(options.file, table.memory_bytes() + images.bytes() + labels.bytes(), common);
  const std::span<std::uint8_t> x = images.span<std::uint8_t>();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    labels.span<std::int64_t>()[row] = whole_number(table, row, 0, kClasses - 1);
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
      x[row * pixels + pixel] =
          static_cast<std::uint8_t>(whole_number(table, row, pixel + 1, kLargestGrey));
  }
  DatasetContents contents;
  contents.info.task = "classification";
  contents.info.source = "digits: digits.csv";
  for (std::int64_t label = 0; label < kClasses; ++label)
    contents.info.classes.push_back(std::to_string(label));
  PrepareOptions with_test = common;
  if (!with_test.test) with_test.test = Portion::of_fraction(0.2);
  const auto all = rows_in_memory(images, labels, {});
  write_parts(all, plan_split(*all, with_test), with_test, std::move(contents));
}

}  // namespace lockstep
