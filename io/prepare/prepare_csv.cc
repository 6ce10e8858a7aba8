// CSV to dataset: which rows and columns, what they become, how they are cut. The text is read in
// blocks, some times over, and never held as a whole.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "io/prepare/csv_rows.h"
#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

// Columns of the table by their roles.
struct Roles {
  std::vector<std::size_t> targets, inputs, categorical;
  std::optional<std::size_t> weight;
};

Roles find_roles(const CsvFile& file, const CsvPrepareOptions& options) {
  Roles roles;
  std::vector<std::size_t> taken;
  const auto resolve = [&](const std::vector<std::string>& names, const char* what) {
    std::vector<std::size_t> columns;
    for (const std::string& name : names) columns.push_back(file.column(name, what));
    return columns;
  };
  const auto take = [&](const std::vector<std::string>& names, const char* what) {
    const std::vector<std::size_t> columns = resolve(names, what);
    for (const std::size_t column : columns) {
      if (std::find(taken.begin(), taken.end(), column) != taken.end())
        throw Error("{}: column '{}' is named twice as target, weight or excluded", file.path(),
                    file.columns()[column]);
      taken.push_back(column);
    }
    return columns;
  };
  if (options.targets.empty())
    throw Error("{}: name the column to predict with --target; the columns are: {}", file.path(),
                fmt::join(file.columns(), ", "));
  roles.targets = take(options.targets, "the target");
  if (!options.weight.empty()) roles.weight = take({options.weight}, "the weight").front();
  take(options.exclude, "excluded");
  roles.categorical = resolve(options.categorical, "categorical");
  for (std::size_t column = 0; column < file.columns().size(); ++column)
    if (std::find(taken.begin(), taken.end(), column) == taken.end())
      roles.inputs.push_back(column);
  if (roles.inputs.empty())
    throw Error("{}: no columns are left to predict the target from", file.path());
  for (const std::size_t column : roles.categorical)
    if (std::find(taken.begin(), taken.end(), column) != taken.end())
      throw Error("{}: column '{}' is categorical but no input", file.path(),
                  file.columns()[column]);
  return roles;
}

// Rows that stay. A cell that is missing drops its row or is an error; only inputs can be filled.
std::vector<std::int64_t> usable_rows(CsvFile& file, const Roles& roles, MissingValues missing) {
  std::vector<std::size_t> required = roles.targets;
  if (roles.weight) required.push_back(*roles.weight);
  if (missing != MissingValues::kMean)
    required.insert(required.end(), roles.inputs.begin(), roles.inputs.end());
  std::vector<std::int64_t> rows;
  std::int64_t next = 0;
  file.for_each_block(ascending_rows(file.rows()), [&](const CsvTable& table, auto in_table) {
    for (const std::int64_t i : in_table) {
      const auto row = static_cast<std::size_t>(i);
      const auto gap = std::find_if(required.begin(), required.end(), [&](std::size_t column) {
        return is_missing(table.cell(row, column));
      });
      if (gap == required.end()) {
        rows.push_back(next);
      } else if (missing != MissingValues::kDrop) {
        throw Error(
            "{}, line {}, column '{}': missing value; {}", table.path(), table.line(row),
            table.columns()[*gap],
            missing == MissingValues::kMean
                ? "a mean can fill inputs alone; correct it, or use --missing drop"
                : "use --missing drop to leave out such rows, or --missing mean to fill them");
      }
      ++next;
    }
  });
  if (rows.empty())
    throw Error("{}: every row has a missing value; use --missing mean or exclude a column",
                file.path());
  return rows;
}

// Names of the target's classes, in the order of their labels.
std::vector<std::string> find_classes(CsvFile& file, const Roles& roles,
                                      std::span<const std::int64_t> rows) {
  if (roles.targets.size() != 1)
    throw Error("{}: {} targets; classification has one, regression any number", file.path(),
                roles.targets.size());
  const std::size_t column = roles.targets.front();
  const std::string& name = file.columns()[column];
  Categories found;
  file.for_each_block(rows, [&](const CsvTable& table, auto in_table) {
    for (const std::int64_t row : in_table) {
      const std::string_view cell = table.cell(static_cast<std::size_t>(row), column);
      const std::optional<double> value = parse_number(cell);
      if (value && *value != std::floor(*value))
        throw Error(
            "{}: target '{}' holds numbers with fractions, which are no classes; use --task "
            "regression",
            file.path(), name);
      found.add(cell);
    }
  });
  std::vector<std::string> classes = found.sorted();
  if (classes.size() < 2)
    throw Error("{}: target '{}' has one class alone, '{}'", file.path(), name, classes.front());
  return classes;
}

// What would otherwise be found while the file is written.
void check_numbers(CsvFile& file, const CsvRowsOptions& options) {
  if (!options.classes.empty() && !options.weight) return;
  file.for_each_block(options.rows, [&](const CsvTable& table, auto in_table) {
    for (const std::int64_t row : in_table) {
      for (const std::size_t column : options.targets)
        if (options.classes.empty()) number_in(table, row, column);
      if (options.weight) weight_in(table, row, *options.weight);
    }
  });
}

std::vector<std::int64_t> pick(std::span<const std::int64_t> rows,
                               std::span<const std::int64_t> places) {
  std::vector<std::int64_t> picked;
  for (const std::int64_t place : places) picked.push_back(rows[static_cast<std::size_t>(place)]);
  return picked;
}

// Of a block's text with its cells; large blocks do not read faster.
std::size_t text_block(std::uint64_t max_memory) {
  constexpr std::uint64_t kLeast = 4096, kShare = 64;
  return static_cast<std::size_t>(
      std::clamp<std::uint64_t>(max_memory / kShare, kLeast, CsvFile::kBlockBytes));
}

// The rows that are written share the memory with a block of text and lists of all rows.
PrepareOptions beside_text(const CsvFile& file, const PrepareOptions& common) {
  constexpr std::uint64_t kListsBytes = 3 * sizeof(std::int64_t);  // rows, labels, drawn numbers
  const std::uint64_t taken =
      file.memory_bytes() + kListsBytes * static_cast<std::uint64_t>(file.rows());
  if (taken >= common.write.max_memory)
    throw Error(
        "{}: --max-memory {}: {} bytes are needed, for a block of the text ({} bytes) and lists of "
        "its {} rows",
        file.path(), common.write.max_memory, taken, file.memory_bytes(), file.rows());
  PrepareOptions result = common;
  result.write.source_memory = taken;
  return result;
}

}  // namespace

void prepare_csv(const CsvPrepareOptions& options, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  const auto file =
      std::make_shared<CsvFile>(options.file, options.format, text_block(common.write.max_memory));
  const PrepareOptions left = beside_text(*file, common);
  const Roles roles = find_roles(*file, options);

  CsvRowsOptions columns;
  columns.rows = usable_rows(*file, roles, options.missing);
  columns.targets = roles.targets;
  columns.weight = roles.weight;
  DatasetContents contents;
  const bool classes = options.task == CsvPrepareOptions::Task::kClassification;
  contents.info.task = classes ? "classification" : "regression";
  contents.info.source =
      fmt::format("csv: {}", std::filesystem::path(options.file).filename().string());
  if (classes) contents.info.classes = find_classes(*file, roles, columns.rows);
  columns.classes = contents.info.classes;
  check_numbers(*file, columns);

  CsvEncoding encoding =
      CsvEncoding::learn(*file, roles.inputs, columns.rows, roles.categorical, options.categories);
  const auto rows = std::make_shared<CsvRows>(file, columns);
  Split split = plan_split(*rows, left);
  if (options.missing == MissingValues::kMean)
    encoding.learn_fills(*file, pick(columns.rows, split.train));
  rows->encode_with(encoding);

  contents.columns = encoding.names();
  contents.encoding = encoding.json();
  for (const std::size_t column : roles.targets)
    contents.targets.push_back(file->columns()[column]);
  if (!options.standardize) {
    contents.info.mean.assign(contents.columns.size(), 0.0);
    contents.info.std.assign(contents.columns.size(), 1.0);
  }
  write_parts(rows, std::move(split), left, std::move(contents));
}

}  // namespace lockstep
