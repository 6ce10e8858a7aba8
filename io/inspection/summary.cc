// One pass over each dataset in blocks of rows; the text is made of tables whose columns are
// aligned.
#include "io/inspection/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include "io/base/progress.h"
#include "io/dataset/dataset.h"
#include "io/hdf5/hdf5.h"
#include "io/inspection/duplicates.h"

namespace lockstep {
namespace {

constexpr std::int64_t kBlockElements = std::int64_t{1} << 20;
constexpr std::size_t kMostClasses = 1000;  // shown, and taken for classes at all
constexpr std::size_t kMostColumns = 40;

// Of all elements; mean and deviation leave out what is not finite.
class Statistics {
 public:
  void add(double value, std::int64_t times = 1) {
    if (times == 0) return;
    if (std::isnan(value)) {
      nan_ += times;
      return;
    }
    if (count_ == 0) shift_ = value;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
    const auto weight = static_cast<double>(times);
    sum_ += weight * (value - shift_);
    squares_ += weight * (value - shift_) * (value - shift_);
    count_ += times;
  }
  std::int64_t count() const { return count_; }
  std::int64_t nan() const { return nan_; }
  double min() const { return min_; }
  double max() const { return max_; }
  double mean() const { return shift_ + sum_ / static_cast<double>(count_); }
  double std() const {
    const double offset = sum_ / static_cast<double>(count_);
    return std::sqrt(std::max(0.0, squares_ / static_cast<double>(count_) - offset * offset));
  }

 private:
  std::int64_t count_ = 0, nan_ = 0;
  double shift_ = 0;  // sums are of differences to it, so that large values do not cancel
  double sum_ = 0, squares_ = 0;
  double min_ = std::numeric_limits<double>::infinity(), max_ = -min_;
};

struct Summary {
  Statistics statistics;
  std::vector<std::int64_t> class_rows;  // by label; empty if this holds no classes
};

// Calls visit(values) for blocks of rows, read as T.
template <typename T, typename Visit>
void for_each_block(const hdf5::Dataset& dataset, Progress& progress, Visit visit) {
  const std::int64_t row = std::max<std::int64_t>(1, dataset.row_elements());
  const std::int64_t step = std::max<std::int64_t>(1, kBlockElements / row);
  std::vector<T> values(
      static_cast<std::size_t>(std::min(step, std::max<std::int64_t>(1, dataset.rows())) * row));
  for (std::int64_t begin = 0; begin < dataset.rows(); begin += step) {
    const std::int64_t rows = std::min(step, dataset.rows() - begin);
    dataset.read_rows(begin, rows, dtype_of<T>(), values.data());
    visit(
        std::span<const T>(values).first(static_cast<std::size_t>(rows * dataset.row_elements())));
    progress.advance(rows * dataset.row_elements());
  }
}

Summary summarize_bytes(const hdf5::Dataset& dataset, Progress& progress) {
  std::array<std::int64_t, 256> counts{};
  for_each_block<std::uint8_t>(dataset, progress, [&](std::span<const std::uint8_t> values) {
    for (const std::uint8_t value : values) ++counts[value];
  });
  Summary summary;
  for (std::size_t value = 0; value < counts.size(); ++value) {
    summary.statistics.add(static_cast<double>(value), counts[value]);
    if (counts[value] > 0) summary.class_rows.resize(value + 1);
    if (value < summary.class_rows.size()) summary.class_rows[value] = counts[value];
  }
  return summary;
}

Summary summarize_numbers(const hdf5::Dataset& dataset, Progress& progress) {
  Summary summary;
  bool classes = dataset.type().is_integer();
  for_each_block<double>(dataset, progress, [&](std::span<const double> values) {
    for (const double value : values) {
      summary.statistics.add(value);
      if (!classes) continue;
      classes = value >= 0 && value < static_cast<double>(kMostClasses);
      if (!classes) continue;
      const auto label = static_cast<std::size_t>(value);
      if (label >= summary.class_rows.size()) summary.class_rows.resize(label + 1);
      ++summary.class_rows[label];
    }
  });
  if (!classes) summary.class_rows.clear();
  return summary;
}

Summary summarize(const hdf5::Dataset& dataset, Progress& progress) {
  Summary summary = dataset.type().native == DType::kUInt8 ? summarize_bytes(dataset, progress)
                                                           : summarize_numbers(dataset, progress);
  const auto sizes = dataset.sizes();
  const bool column = sizes.size() == 1 || (sizes.size() == 2 && sizes[1] == 1);
  if (!column) summary.class_rows.clear();
  return summary;
}

// The order of a reader's interest: training, validation, test, then other programs' names.
std::vector<std::string> ordered_datasets(const hdf5::File& file) {
  const auto rank = [](const std::string& path) {
    constexpr std::array<std::string_view, 3> kParts = {"/train/", "/validation/", "/test/"};
    return std::find_if(kParts.begin(), kParts.end(),
                        [&](std::string_view part) { return path.starts_with(part); }) -
           kParts.begin();
  };
  std::vector<std::string> paths = file.datasets();
  std::stable_sort(paths.begin(), paths.end(),
                   [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  return paths;
}

using Row = std::vector<std::string>;

// The first column is flush left, as are those named; the others flush right, being numbers.
std::string aligned(const std::vector<Row>& rows, const std::set<std::size_t>& left) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], fmt::formatted_size("{}", row[i]));
    }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += "  ";
      line += left.contains(i) || i == 0 ? fmt::format("{:<{}}", row[i], widths[i])
                                         : fmt::format("{:>{}}", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string number(double value) {
  return fmt::format("{:.6g}", value);
}

Row dataset_row(const hdf5::Dataset& dataset, const Summary* summary) {
  Row row = {dataset.path(), Shape(dataset.sizes()).to_string(), dataset.type().name,
             dataset.layout()};
  if (summary == nullptr || summary->statistics.count() == 0) {
    row.insert(row.end(), {"-", "-", "-", "-"});
  } else {
    const Statistics& s = summary->statistics;
    row.insert(row.end(), {number(s.min()), number(s.max()), number(s.mean()), number(s.std())});
  }
  row.push_back(summary == nullptr ? "-" : std::to_string(summary->statistics.nan()));
  return row;
}

// `#` for each thirtieth of `most`, rounded up, so that only an empty class has none.
std::string bar(std::int64_t value, std::int64_t most) {
  constexpr std::int64_t kLongest = 30;
  return std::string(static_cast<std::size_t>((value * kLongest + most - 1) / most), '#');
}

// Rows of each class in every dataset that holds labels; the last column draws the first dataset's.
std::string class_table(
    const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& counts,
    const std::vector<std::string>& names) {
  Row head = {"class"};
  std::size_t classes = names.size();
  std::int64_t most = 1;  // rows of one class, where the first dataset's bars are full
  for (const auto& [path, rows] : counts) {
    head.push_back(path);
    classes = std::max(classes, rows.size());
  }
  for (const std::int64_t rows : counts.front().second) most = std::max(most, rows);
  head.push_back("");
  std::vector<Row> table = {head};
  for (std::size_t label = 0; label < classes; ++label) {
    const std::string plain = std::to_string(label);
    const bool named = label < names.size() && names[label] != plain;
    Row& row = table.emplace_back(Row{named ? plain + " " + names[label] : plain});
    for (const auto& column : counts)
      row.push_back(std::to_string(label < column.second.size() ? column.second[label] : 0));
    const std::vector<std::int64_t>& first = counts.front().second;
    row.push_back(bar(label < first.size() ? first[label] : 0, most));
  }
  return aligned(table, {counts.size() + 1});
}

// A line on classes that have rows in another part and none to train on; "" where there are none.
std::string untrained_text(const hdf5::File& file, const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 5;
  const auto occurring = [&](const char* path) {
    std::vector<bool> seen(names.size());
    const hdf5::Dataset dataset = file.dataset(path);
    if (dataset.row_elements() != 1 || !dataset.type().is_integer()) return seen;
    Progress progress(fmt::format("reading {}", path), dataset.rows());
    for_each_block<double>(dataset, progress, [&](std::span<const double> values) {
      for (const double value : values)
        if (value >= 0 && value < static_cast<double>(names.size()))
          seen[static_cast<std::size_t>(value)] = true;
    });
    return seen;
  };
  if (names.empty() || !file.has_dataset("/train/y")) return "";
  const std::vector<bool> trained = occurring("/train/y");
  std::vector<bool> untrained(names.size());
  for (const char* path : {"/validation/y", "/test/y"}) {
    if (!file.has_dataset(path)) continue;
    const std::vector<bool> seen = occurring(path);
    for (std::size_t label = 0; label < names.size(); ++label)
      if (seen[label] && !trained[label]) untrained[label] = true;
  }
  const auto count = static_cast<std::size_t>(std::count(untrained.begin(), untrained.end(), true));
  if (count == 0) return "";
  std::vector<std::string> named;
  for (std::size_t label = 0; label < names.size() && named.size() < kNamed; ++label)
    if (untrained[label]) named.push_back(names[label]);
  return fmt::format(
      "\n{} of {} classes {} no row in /train ({}{}): a network learns nothing of {}\n", count,
      names.size(), count == 1 ? "has" : "have", fmt::join(named, ", "),
      count > named.size() ? ", ..." : "", count == 1 ? "it" : "them");
}

std::string normalization_table(const hdf5::File& file) {
  const auto mean = file.numbers("/", "mean"), std = file.numbers("/", "std");
  if (!mean || !std || mean->empty() || mean->size() != std->size()) return "";
  const auto names = file.texts("/", "columns").value_or(std::vector<std::string>{});
  std::vector<Row> table = {{names.empty() ? "channel" : "column", "mean", "std"}};
  for (std::size_t i = 0; i < std::min(mean->size(), kMostColumns); ++i)
    table.push_back(
        {i < names.size() ? names[i] : std::to_string(i), number((*mean)[i]), number((*std)[i])});
  std::string text = "\nof the training part, applied by the loader (uint8 as x/255)\n";
  text += aligned(table, {});
  if (mean->size() > kMostColumns)
    text += fmt::format("... and {} more\n", mean->size() - kMostColumns);
  return text;
}

// Rows that stand in two parts, part by part; "" where there are no two.
std::string duplicates_text(const hdf5::File& file) {
  constexpr std::int64_t kMostRows = 20'000'000;  // 24 bytes of memory each
  std::vector<std::pair<std::string, RowHashes>> parts;
  try {
    std::vector<std::pair<std::string, std::unique_ptr<Dataset>>> datasets;
    std::int64_t rows = 0;
    for (const char* group : {"/train", "/validation", "/test"})
      if (file.has_group(group)) {
        datasets.emplace_back(group, Dataset::open({.file = file.path(), .group = group}));
        rows += datasets.back().second->rows();
      }
    if (datasets.size() < 2) return "";
    if (rows > kMostRows)
      return fmt::format("\nduplicates between parts: not looked for among more than {} rows\n",
                         kMostRows);
    for (const auto& [group, dataset] : datasets) parts.emplace_back(group, hash_rows(*dataset));
  } catch (const Error& error) {
    return fmt::format("\nduplicates between parts cannot be looked for: {}\n", error.what());
  }
  std::string text;
  for (std::size_t a = 0; a < parts.size(); ++a)
    for (std::size_t b = a + 1; b < parts.size(); ++b) {
      const Duplicates found = duplicates_between(parts[a].second, parts[b].second);
      text += fmt::format("{} of {}'s {} rows stand in {} too", found.rows, parts[b].first,
                          parts[b].second.sorted().size(), parts[a].first);
      if (found.rows > 0) text += ": " + pairs_text(found, parts[a].first, parts[b].first);
      text += "\n";
    }
  return text.empty() ? "" : "\n" + text;
}

// Recomputed, so that a file changed since it was prepared shows.
std::string checksum_line(const hdf5::File& file) {
  if (!file.has_group("/train") && !file.has_group("/validation") && !file.has_group("/test"))
    return "none (no group /train, /validation or /test)";
  std::string computed;
  try {
    computed = file_checksum(file.path());
  } catch (const Error& error) {
    return fmt::format("cannot be computed: {}", error.what());
  }
  const auto stored = file.text("/", "checksum");
  if (!stored) return computed;
  if (*stored == computed) return computed + " (as stored)";
  return fmt::format("{}, but {} is stored: the contents changed since they were prepared",
                     computed, *stored);
}

}  // namespace

std::string dataset_summary(const std::string& path) {
  const hdf5::File file = hdf5::File::open(path);
  std::vector<Row> table = {
      {"dataset", "shape", "type", "layout", "min", "max", "mean", "std", "NaN"}};
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> classes;
  std::int64_t elements = 0;
  std::vector<hdf5::Dataset> datasets;
  for (const std::string& name : ordered_datasets(file)) {
    datasets.push_back(file.dataset(name));
    elements += datasets.back().rows() * datasets.back().row_elements();
  }
  {
    Progress progress("reading " + path, elements);
    for (const hdf5::Dataset& dataset : datasets) {
      const bool numeric = dataset.type().is_integer() || dataset.type().is_float();
      const Summary summary = numeric ? summarize(dataset, progress) : Summary{};
      table.push_back(dataset_row(dataset, numeric ? &summary : nullptr));
      if (!summary.class_rows.empty()) classes.emplace_back(dataset.path(), summary.class_rows);
    }
  }
  const bool ours = file.numbers("/", "lockstep_format").has_value();
  const auto names = file.texts("/", "classes").value_or(std::vector<std::string>{});
  std::vector<Row> head = {{"file", std::filesystem::path(path).filename().string()},
                           {"kind", ours ? "lockstep dataset" : "HDF5 file of another program"}};
  if (const auto task = file.text("/", "task"))
    head.push_back(
        {"task", names.empty() ? *task : fmt::format("{}, {} classes", *task, names.size())});
  if (const auto source = file.text("/", "source")) head.push_back({"source", *source});
  if (const auto truth = file.numbers("/", "truth"))
    head.push_back({"truth", fmt::format("{:.6g}", fmt::join(*truth, ", "))});
  head.push_back({"checksum", checksum_line(file)});

  std::string text = fmt::format("{}\n{}", aligned(head, {1}), aligned(table, {1, 2, 3}));
  if (!classes.empty()) text += fmt::format("\n{}", class_table(classes, names));
  text += untrained_text(file, names);
  return text + duplicates_text(file) + normalization_table(file);
}

}  // namespace lockstep
