// The values of x and y: what is not finite, what never changes, what is out of scale.
#include <algorithm>
#include <cmath>
#include <limits>

#include "io/inspection/part_check.h"

namespace lockstep {

namespace {

constexpr std::size_t kShown = 5;    // columns named in one finding
constexpr double kFarFromMean = 30;  // deviations
constexpr double kLargeMean = 5, kLargeDeviation = 10, kSmallDeviation = 0.05;

struct Column {
  std::int64_t count = 0;
  double sum = 0, squares = 0, shift = 0;
  double min = std::numeric_limits<double>::infinity(), max = -min;

  void add(double value) {
    if (count++ == 0) shift = value;
    sum += value - shift;
    squares += (value - shift) * (value - shift);
    min = std::min(min, value);
    max = std::max(max, value);
  }
  double mean() const { return shift + sum / static_cast<double>(count); }
  double std() const {
    const double offset = sum / static_cast<double>(count);
    return std::sqrt(std::max(0.0, squares / static_cast<double>(count) - offset * offset));
  }
};

struct Values {
  std::vector<Column> columns;            // channels of images
  std::int64_t not_finite = 0, rows = 0;  // elements, and the rows that hold them
  std::int64_t first_row = -1, first_column = -1;
  double first_value = 0;
};

// The column or channel of each element of a row.
struct Columns {
  std::size_t count;
  std::int64_t run;  // element e is of column e / run % count: run 1 for (..., C)

  std::size_t of(std::int64_t element) const {
    return static_cast<std::size_t>(element / run) % count;
  }
};

Columns columns_of(const hdf5::Dataset& array, DataSource::Axes axes) {
  const auto sizes = array.sizes();
  if (sizes.size() == 4 && axes == DataSource::Axes::kNchw)
    return {static_cast<std::size_t>(sizes[1]), sizes[2] * sizes[3]};
  const bool grey = sizes.size() == 3 && array.type().native == DType::kUInt8;  // (N, H, W)
  const std::int64_t last = sizes.size() > 1 && !grey ? sizes.back() : 1;
  return {static_cast<std::size_t>(std::max<std::int64_t>(1, last)), 1};
}

Values look_at(const hdf5::Dataset& array, const Columns& columns) {
  Values found;
  found.columns.resize(columns.count);
  const std::int64_t elements = std::max<std::int64_t>(1, array.row_elements());
  for_each_block(array, [&](std::int64_t begin, std::span<const double> values) {
    std::int64_t last_row = -1;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i);
      const std::size_t column = columns.of(place % elements);
      if (std::isfinite(values[i])) {
        found.columns[column].add(values[i]);
        continue;
      }
      const std::int64_t row = begin + place / elements;
      if (found.not_finite++ == 0) {
        found.first_row = row;
        found.first_column = static_cast<std::int64_t>(column);
        found.first_value = values[i];
      }
      if (row != last_row) ++found.rows;
      last_row = row;
    }
  });
  return found;
}

std::string name_of_column(const std::vector<std::string>& names, std::size_t column) {
  return column < names.size() ? fmt::format("'{}'", names[column]) : std::to_string(column);
}

std::string list(const std::vector<std::string>& items) {
  const std::size_t shown = std::min(items.size(), kShown);
  std::string text = fmt::format(
      "{}", fmt::join(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < items.size()) text += fmt::format(" and {} more", items.size() - shown);
  return text;
}

void report_not_finite(const hdf5::Dataset& array, const Values& values,
                       const std::vector<std::string>& names, std::vector<Finding>& findings) {
  if (values.not_finite == 0) return;
  findings.push_back(
      {Severity::kError, array.path(),
       fmt::format("{} in row {}, column {}; {} such values in {} rows",
                   std::isnan(values.first_value) ? "NaN" : "an infinity", values.first_row,
                   name_of_column(names, static_cast<std::size_t>(values.first_column)),
                   values.not_finite, values.rows),
       "leave out these rows or fill them in (prepare csv: --missing drop or mean)"});
}

void report_constant(const hdf5::Dataset& x, const Values& values,
                     const std::vector<std::string>& names, std::vector<Finding>& findings) {
  std::vector<std::string> constant;
  for (std::size_t c = 0; c < values.columns.size(); ++c)
    if (values.columns[c].count > 1 && values.columns[c].min == values.columns[c].max)
      constant.push_back(name_of_column(names, c));
  if (constant.empty()) return;
  findings.push_back({Severity::kWarning, x.path(),
                      fmt::format("column {} never changes and tells nothing", list(constant)),
                      "leave it out (prepare csv: --exclude)"});
}

void report_scale(const hdf5::File& file, const PartArrays& part, const Values& values,
                  const Normalization& normalization, const std::vector<std::string>& names,
                  std::vector<Finding>& findings) {
  if (part.x.type().is_integer() && part.x.type().bytes >= 4) return;  // ids, no quantities
  const double unit = part.x.type().native == DType::kUInt8 ? 1.0 / 255 : 1;
  const bool normalized = !normalization.mean.empty();
  if (normalized && (normalization.mean.size() != values.columns.size() ||
                     normalization.std.size() != values.columns.size())) {
    findings.push_back(
        {Severity::kError, part.x.path(),
         fmt::format("{} columns or channels, but {} means and {} deviations",
                     values.columns.size(), normalization.mean.size(), normalization.std.size()),
         "prepare the file again, or correct data.mean and data.std"});
    return;
  }
  std::vector<std::string> off, far;
  for (std::size_t c = 0; c < values.columns.size(); ++c) {
    const Column& column = values.columns[c];
    if (column.count == 0 || column.min == column.max) continue;
    const double shift = normalized ? normalization.mean[c] : 0;
    const double scale = (normalized ? normalization.std[c] : 1) / unit;
    const double mean = (column.mean() - shift / unit) / scale, std = column.std() / scale;
    const double largest =
        std::max(std::fabs(column.min - column.mean()), std::fabs(column.max - column.mean())) /
        column.std();
    if (std::fabs(mean) > kLargeMean || std > kLargeDeviation || std < kSmallDeviation)
      off.push_back(
          fmt::format("{} (mean {:.4g}, deviation {:.4g})", name_of_column(names, c), mean, std));
    if (largest > kFarFromMean)
      far.push_back(fmt::format("{} ({:.0f} deviations)", name_of_column(names, c), largest));
  }
  if (!off.empty())
    findings.push_back(
        {Severity::kWarning, part.x.path(),
         fmt::format("a network sees column {}; it learns best from values about 0 and 1",
                     list(off)),
         normalized ? "correct the mean and the deviation, or scale the column in the source"
                    : fmt::format("'{}' records mean and deviation; or set data.mean and data.std",
                                  repack_command(file, part))});
  if (!normalized && off.empty() && part.x.type().native == DType::kUInt8)
    findings.push_back({Severity::kWarning, part.x.path(),
                        "no mean and deviation are recorded, so images enter as x/255",
                        fmt::format("'{}' records them", repack_command(file, part))});
  if (!far.empty())
    findings.push_back({Severity::kWarning, part.x.path(),
                        fmt::format("column {} holds a value far from its mean", list(far)),
                        "look whether it is a mistake; else clip it or take its logarithm"});
}

}  // namespace

void check_values(const hdf5::File& file, const PartArrays& part, bool training,
                  const Normalization& normalization, std::vector<Finding>& findings) {
  const auto names = file.texts("/", "columns").value_or(std::vector<std::string>{});
  const Values x = look_at(part.x, columns_of(part.x, part.axes));
  report_not_finite(part.x, x, names, findings);
  if (part.y && part.y->type().is_float()) {
    const auto targets = file.texts("/", "targets").value_or(std::vector<std::string>{});
    report_not_finite(*part.y, look_at(*part.y, columns_of(*part.y, DataSource::Axes::kNhwc)),
                      targets, findings);
  }
  if (!training) return;
  report_constant(part.x, x, names, findings);
  report_scale(file, part, x, normalization, names, findings);
}

}  // namespace lockstep
