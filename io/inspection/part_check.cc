// Arrays of a part, how they are stored, labels, weights.
#include "io/inspection/part_check.h"

#include <algorithm>
#include <cmath>

namespace lockstep {

namespace {

std::string path_of(const DataSource& source, const std::string& name) {
  if (name.starts_with('/')) return name;
  return source.group.ends_with('/') ? source.group + name : source.group + "/" + name;
}

std::optional<hdf5::Dataset> optional_array(const hdf5::File& file, const DataSource& source,
                                            const std::string& name) {
  const std::string path = path_of(source, name);
  if (name.empty() || !file.has_dataset(path)) return std::nullopt;
  return file.dataset(path);
}

// Elements that are decoded to read one row alone, in rows.
double rows_decoded(const hdf5::Dataset& x) {
  double elements = 1, chunks = 1;
  for (std::size_t axis = 0; axis < x.chunk().size(); ++axis) {
    const auto size = static_cast<double>(x.chunk()[axis]);
    elements *= size;
    if (axis > 0) chunks *= std::ceil(static_cast<double>(x.sizes()[axis]) / size);
  }
  return elements * chunks / static_cast<double>(std::max<std::int64_t>(1, x.row_elements()));
}

struct LabelCounts {
  std::vector<std::int64_t> rows;  // by label
};
struct LabelsOutside {
  std::int64_t rows = 0, first = -1;  // labels that are none, and the first one's row
  double first_value = 0;
};

// The label of a row of y: itself, or the column of its single 1; -1 if there is no such column.
double label_of(std::span<const double> row) {
  if (row.size() == 1) return row.front();
  const auto one = std::ranges::find(row, 1.0);
  const auto zeros = std::ranges::count(row, 0.0);
  if (one == row.end() || zeros + 1 != std::ssize(row)) return -1;
  return static_cast<double>(one - row.begin());
}

LabelsOutside count_labels(const hdf5::Dataset& y, std::int64_t classes, LabelCounts& counts) {
  constexpr double kMostClasses = 1 << 20;
  const double limit = classes > 0 ? static_cast<double>(classes) : kMostClasses;
  const auto columns = static_cast<std::size_t>(y.row_elements());
  LabelsOutside outside;
  for_each_block(y, [&](std::int64_t begin, std::span<const double> values) {
    for (std::size_t i = 0; i * columns < values.size(); ++i) {
      const double value = label_of(values.subspan(i * columns, columns));
      if (value < 0 || value >= limit) {
        if (outside.rows++ > 0) continue;
        outside.first = begin + static_cast<std::int64_t>(i);
        outside.first_value = value;
        continue;
      }
      const auto label = static_cast<std::size_t>(value);
      if (label >= counts.rows.size()) counts.rows.resize(label + 1);
      ++counts.rows[label];
    }
  });
  return outside;
}

// What is wrong with labels outside of the classes, and what cures it.
Finding outside_finding(const FileArrays& file, const LabelsOutside& outside,
                        const LabelRule& rule) {
  Finding finding{Severity::kError, file.where(*file.y), "", "correct or leave out these rows"};
  const std::string rows = fmt::format("{} such row{}", outside.rows, outside.rows == 1 ? "" : "s");
  if (outside.first_value < 0 && file.y->row_elements() > 1) {
    finding.what = fmt::format(
        "row {} does not hold a single 1, but the first rows are one-hot; {}", outside.first, rows);
    finding.cure = "correct these rows, or store a matrix of values as floats";
  } else if (rule.classes == 0 || outside.first_value < 0) {
    finding.what = fmt::format("row {} holds the label {:.0f}; labels count from 0; {}",
                               outside.first, outside.first_value, rows);
  } else {
    finding.what =
        fmt::format("row {} holds the label {:.0f}, but {} {} classes (0 to {}); {}", outside.first,
                    outside.first_value, rule.named ? "there are" : "the training part has",
                    rule.classes, rule.classes - 1, rows);
    if (!rule.named)
      finding.cure += ", add rows of these classes to the training part, or set model.outputs";
  }
  return finding;
}

std::string class_text(std::size_t label, const LabelRule& rule) {
  if (label >= rule.names.size() || rule.names[label] == std::to_string(label))
    return fmt::format("{}", label);
  return fmt::format("{} ({})", label, rule.names[label]);
}

// Weights that make every class count the same in sum.
std::string balancing_line(const LabelCounts& counts) {
  constexpr std::size_t kMost = 20;
  if (counts.rows.size() > kMost) return "set loss.class_weights, one weight a class";
  double rows = 0, present = 0;
  for (const std::int64_t count : counts.rows) {
    rows += static_cast<double>(count);
    present += count > 0 ? 1 : 0;
  }
  std::string weights;
  for (const std::int64_t count : counts.rows)
    weights += fmt::format("{}{:.4g}", weights.empty() ? "" : ", ",
                           count > 0 ? rows / present / static_cast<double>(count) : 1.0);
  return fmt::format("loss.class_weights = [{}]", weights);
}

void check_balance(const LabelCounts& counts, const LabelRule& rule, const std::string& where,
                   std::vector<Finding>& findings) {
  constexpr std::int64_t kLargestRatio = 10;
  std::string absent;
  std::size_t rarest = 0, commonest = 0;
  for (std::size_t label = 0; label < counts.rows.size(); ++label) {
    if (counts.rows[label] == 0)
      absent += (absent.empty() ? "" : ", ") + class_text(label, rule);
    else if (counts.rows[rarest] == 0 || counts.rows[label] < counts.rows[rarest])
      rarest = label;
    if (counts.rows[label] > counts.rows[commonest]) commonest = label;
  }
  if (!absent.empty())
    findings.push_back({Severity::kWarning, where, fmt::format("no row of class {}", absent),
                        "nothing can be learnt of it; add rows, or number the classes anew"});
  if (counts.rows.empty()) return;
  if (counts.rows[commonest] > kLargestRatio * counts.rows[rarest])
    findings.push_back(
        {Severity::kWarning, where,
         fmt::format("{} rows of class {}, but {} of class {}", counts.rows[commonest],
                     class_text(commonest, rule), counts.rows[rarest], class_text(rarest, rule)),
         balancing_line(counts)});
  if (counts.rows[commonest] == 0 ||
      std::count_if(counts.rows.begin(), counts.rows.end(), [](auto n) { return n > 0; }) > 1)
    return;
  findings.push_back({Severity::kError, where,
                      fmt::format("every row is of class {}", class_text(commonest, rule)),
                      "take another part, or rows of other classes"});
}

// Floats that are whole numbers from 0 are classes that lost their type on the way.
void check_float_labels(const FileArrays& file, std::vector<Finding>& findings) {
  const hdf5::Dataset& y = *file.y;
  constexpr double kMostClasses = 100;
  if (!y.type().is_float() || y.row_elements() != 1) return;
  bool whole = true;
  double largest = 0;
  for_each_block(y, [&](std::int64_t, std::span<const double> values) {
    for (const double value : values) {
      whole = whole && value >= 0 && value < kMostClasses && value == std::floor(value);
      largest = std::max(largest, value);
    }
  });
  if (whole && largest >= 1 && static_cast<double>(y.rows()) > 2 * largest)
    findings.push_back({Severity::kWarning, file.where(y),
                        fmt::format("{} that are all whole numbers from 0 to {}; training takes "
                                    "them for values, not for classes",
                                    y.type().name, largest),
                        "if they are labels, store them as integers"});
}

}  // namespace

std::string FileArrays::where(const hdf5::Dataset& array) const {
  return alone ? array.path() : fmt::format("{}: {}", file, array.path());
}

std::string PartArrays::where(const hdf5::Dataset& array) const {
  return files.size() == 1 ? array.path()
                           : fmt::format("{} of {} files", array.path(), files.size());
}

PartArrays open_arrays(const std::vector<std::string>& files, const NamedSource& part,
                       TargetKind target) {
  const DataSource& source = part.source;
  PartArrays arrays{part.name, {}, source.axes, target};
  for (const std::string& path : files) {
    const hdf5::File file = hdf5::File::open(path);
    arrays.files.push_back({path, files.size() == 1, file.dataset(path_of(source, source.x)),
                            optional_array(file, source, source.y),
                            optional_array(file, source, source.weight)});
  }
  return arrays;
}

std::string repack_command(const PartArrays& part, const FileArrays& file) {
  std::string command = fmt::format("lockstep prepare repack {}", file.file);
  const bool usual = file.x.path() == "/" + part.name + "/x" || file.x.path() == "/x";
  if (!usual) {
    command += fmt::format(" --x {}", file.x.path());
    if (file.y) command += fmt::format(" --y {}", file.y->path());
    if (file.weight) command += fmt::format(" --weight {}", file.weight->path());
  }
  if (part.axes == DataSource::Axes::kNchw) command += " --axes nchw";
  return command + " -o NEW.h5";
}

void check_storage(const PartArrays& part, std::vector<Finding>& findings) {
  constexpr double kManyRows = 8;
  for (const FileArrays& file : part.files) {
    const hdf5::Dataset& x = file.x;
    const std::string cure = repack_command(part, file), where = file.where(x);
    const double decoded = x.chunk().empty() ? 1 : rows_decoded(x);
    if (decoded > kManyRows)
      findings.push_back(
          {Severity::kWarning, where,
           fmt::format("{} for rows of ({}): one row read alone decodes as many values "
                       "as {:.0f} rows hold",
                       x.layout(), fmt::join(x.sizes().subspan(1), ", "), decoded),
           cure});
    else if (x.filtered())
      findings.push_back({Severity::kWarning, where,
                          fmt::format("{}: every epoch decodes it anew", x.layout()), cure});
    const std::optional<DType> native = x.type().native;
    if (native != DType::kUInt8 && native != DType::kInt64 && native != DType::kFloat32)
      findings.push_back({Severity::kWarning, where,
                          fmt::format("{} is converted whenever a row is read", x.type().name),
                          cure});
  }
}

std::int64_t check_labels(const PartArrays& part, const LabelRule& rule,
                          std::vector<Finding>& findings) {
  LabelCounts counts;
  counts.rows.resize(static_cast<std::size_t>(rule.classes));
  for (const FileArrays& file : part.files) {
    if (part.target == TargetKind::kValues) check_float_labels(file, findings);
    if (part.target != TargetKind::kClass) continue;
    const std::int64_t columns = file.y->row_elements();
    if (columns > 1 && rule.training)
      counts.rows.resize(std::max(counts.rows.size(), static_cast<std::size_t>(columns)));
    const LabelsOutside outside = count_labels(*file.y, rule.classes, counts);
    if (outside.rows > 0) findings.push_back(outside_finding(file, outside, rule));
  }
  if (part.target != TargetKind::kClass) return 0;
  if (rule.training) check_balance(counts, rule, part.where(*part.first().y), findings);
  return static_cast<std::int64_t>(counts.rows.size());
}

void check_weights(const PartArrays& part, std::vector<Finding>& findings) {
  double sum = 0;
  bool all_good = true;
  for (const FileArrays& file : part.files) {
    if (!file.weight) return;
    std::int64_t bad = 0, first = -1;
    for_each_block(*file.weight, [&](std::int64_t begin, std::span<const double> values) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const bool good = std::isfinite(values[i]) && values[i] >= 0;
        if (good) sum += values[i];
        if (!good && bad++ == 0) first = begin + static_cast<std::int64_t>(i);
      }
    });
    if (bad == 0) continue;
    all_good = false;
    findings.push_back({Severity::kError, file.where(*file.weight),
                        fmt::format("row {} holds a weight that is negative or not finite; {} such "
                                    "rows",
                                    first, bad),
                        "weights are finite and not negative"});
  }
  if (all_good && sum == 0)
    findings.push_back({Severity::kError, part.where(*part.first().weight),
                        "all weights are 0, so no row counts",
                        "give weights, or leave them out with data.weight = \"\""});
}

}  // namespace lockstep
