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

// float32 is what training reads: what it cannot hold becomes an infinity.
bool fits(double value) {
  return std::fabs(value) <= std::numeric_limits<float>::max();  // false for NaN
}

struct NotFinite {
  std::int64_t nans = 0, infinities = 0, rows = 0;  // elements, and the rows that hold them
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

// Adds the finite values to their columns.
NotFinite look_at(const hdf5::Dataset& array, const Columns& place_of,
                  std::vector<Column>& columns) {
  NotFinite found;
  columns.resize(place_of.count);
  const std::int64_t elements = std::max<std::int64_t>(1, array.row_elements());
  for_each_block(array, [&](std::int64_t begin, std::span<const double> values) {
    std::int64_t last_row = -1;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i);
      const std::size_t column = place_of.of(place % elements);
      if (fits(values[i])) {
        columns[column].add(values[i]);
        continue;
      }
      const std::int64_t row = begin + place / elements;
      if (found.rows == 0) {
        found.first_row = row;
        found.first_column = static_cast<std::int64_t>(column);
        found.first_value = values[i];
      }
      ++(std::isnan(values[i]) ? found.nans : found.infinities);
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

void report_not_finite(const std::string& where, const NotFinite& found,
                       const std::vector<std::string>& names, std::vector<Finding>& findings) {
  if (found.rows == 0) return;
  const bool nan = std::isnan(found.first_value), infinity = std::isinf(found.first_value);
  std::string counted;
  if (found.nans > 0) counted = fmt::format("{} NaN", found.nans);
  if (found.infinities > 0)
    counted += fmt::format("{}{} infinite or beyond float32", counted.empty() ? "" : " and ",
                           found.infinities);
  findings.push_back(
      {Severity::kError, where,
       fmt::format("{} in row {}, column {}; {} in {} row{}",
                   nan        ? "NaN"
                   : infinity ? "an infinity"
                              : fmt::format("{:.4g}", found.first_value),
                   found.first_row,
                   name_of_column(names, static_cast<std::size_t>(found.first_column)), counted,
                   found.rows, found.rows == 1 ? "" : "s"),
       "leave out these rows or fill them in (prepare csv: --missing drop or mean)"});
}

void report_constant(const PartArrays& part, const std::vector<Column>& columns,
                     const std::vector<std::string>& names, std::vector<Finding>& findings) {
  std::vector<std::string> constant;
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (columns[c].count > 1 && columns[c].min == columns[c].max)
      constant.push_back(name_of_column(names, c));
  if (constant.empty()) return;
  findings.push_back({Severity::kWarning, part.where(part.first().x),
                      fmt::format("column {} never changes and tells nothing", list(constant)),
                      "leave it out (prepare csv: --exclude)"});
}

void report_scale(const PartArrays& part, const std::vector<Column>& columns,
                  const Normalization& normalization, const std::vector<std::string>& names,
                  std::vector<Finding>& findings) {
  const hdf5::ElementType& type = part.first().x.type();
  const std::string where = part.where(part.first().x);
  const std::string repack = repack_command(part, part.first());
  if (type.is_integer() && type.bytes >= 4) return;  // ids, no quantities
  const double unit = type.native == DType::kUInt8 ? 1.0 / 255 : 1;
  const bool normalized = !normalization.mean.empty();
  if (normalized &&
      (normalization.mean.size() != columns.size() || normalization.std.size() != columns.size())) {
    findings.push_back(
        {Severity::kError, where,
         fmt::format("{} columns or channels, but {} means and {} deviations", columns.size(),
                     normalization.mean.size(), normalization.std.size()),
         "prepare the file again, or correct data.mean and data.std"});
    return;
  }
  std::vector<std::string> off, far;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const Column& column = columns[c];
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
        {Severity::kWarning, where,
         fmt::format("a network sees column {}; it learns best from values about 0 and 1",
                     list(off)),
         normalized ? "correct the mean and the deviation, or scale the column in the source"
                    : fmt::format("'{}' records mean and deviation; or set data.mean and data.std",
                                  repack)});
  if (!normalized && off.empty() && type.native == DType::kUInt8)
    findings.push_back({Severity::kWarning, where,
                        "no mean and deviation are recorded, so images enter as x/255",
                        fmt::format("'{}' records them", repack)});
  if (!far.empty())
    findings.push_back({Severity::kWarning, where,
                        fmt::format("column {} holds a value far from its mean", list(far)),
                        "look whether it is a mistake; else clip it or take its logarithm"});
}

}  // namespace

void check_values(const PartArrays& part, bool training, const Normalization& normalization,
                  std::vector<Finding>& findings) {
  const hdf5::File named = hdf5::File::open(part.first().file);
  const auto names = named.texts("/", "columns").value_or(std::vector<std::string>{});
  const auto targets = named.texts("/", "targets").value_or(std::vector<std::string>{});
  std::vector<Column> x, y;
  for (const FileArrays& file : part.files) {
    report_not_finite(file.where(file.x), look_at(file.x, columns_of(file.x, part.axes), x), names,
                      findings);
    if (file.y && file.y->type().is_float())
      report_not_finite(file.where(*file.y),
                        look_at(*file.y, columns_of(*file.y, DataSource::Axes::kNhwc), y), targets,
                        findings);
  }
  if (!training) return;
  report_constant(part, x, names, findings);
  report_scale(part, x, normalization, names, findings);
}

}  // namespace lockstep
