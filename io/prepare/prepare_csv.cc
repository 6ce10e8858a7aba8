// CSV to dataset: which rows and columns, what they become, how they are cut.
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

// Columns of the table by their roles.
struct Roles {
  std::vector<std::size_t> targets, inputs, categorical;
  std::optional<std::size_t> weight;
};

Roles find_roles(const CsvTable& table, const CsvPrepareOptions& options) {
  Roles roles;
  std::vector<std::size_t> taken;
  const auto resolve = [&](const std::vector<std::string>& names, const char* what) {
    std::vector<std::size_t> columns;
    for (const std::string& name : names) columns.push_back(table.column(name, what));
    return columns;
  };
  const auto take = [&](const std::vector<std::string>& names, const char* what) {
    const std::vector<std::size_t> columns = resolve(names, what);
    for (const std::size_t column : columns) {
      if (std::find(taken.begin(), taken.end(), column) != taken.end())
        throw Error("{}: column '{}' is named twice as target, weight or excluded", table.path(),
                    table.columns()[column]);
      taken.push_back(column);
    }
    return columns;
  };
  if (options.targets.empty())
    throw Error("{}: name the column to predict with --target; the columns are: {}", table.path(),
                fmt::join(table.columns(), ", "));
  roles.targets = take(options.targets, "the target");
  if (!options.weight.empty()) roles.weight = take({options.weight}, "the weight").front();
  take(options.exclude, "excluded");
  roles.categorical = resolve(options.categorical, "categorical");
  for (std::size_t column = 0; column < table.columns().size(); ++column)
    if (std::find(taken.begin(), taken.end(), column) == taken.end())
      roles.inputs.push_back(column);
  if (roles.inputs.empty())
    throw Error("{}: no columns are left to predict the target from", table.path());
  for (const std::size_t column : roles.categorical)
    if (std::find(taken.begin(), taken.end(), column) != taken.end())
      throw Error("{}: column '{}' is categorical but no input", table.path(),
                  table.columns()[column]);
  return roles;
}

// Rows that stay. A cell that is missing drops its row or is an error; only inputs can be filled.
std::vector<std::int64_t> usable_rows(const CsvTable& table, const Roles& roles,
                                      MissingValues missing) {
  std::vector<std::size_t> required = roles.targets;
  if (roles.weight) required.push_back(*roles.weight);
  if (missing != MissingValues::kMean)
    required.insert(required.end(), roles.inputs.begin(), roles.inputs.end());
  std::vector<std::int64_t> rows;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto gap = std::find_if(required.begin(), required.end(), [&](std::size_t column) {
      return is_missing(table.cell(row, column));
    });
    if (gap == required.end()) {
      rows.push_back(static_cast<std::int64_t>(row));
    } else if (missing != MissingValues::kDrop) {
      throw Error(
          "{}, line {}, column '{}': missing value; {}", table.path(), table.line(row),
          table.columns()[*gap],
          missing == MissingValues::kMean
              ? "a mean can fill inputs alone; correct it, or use --missing drop"
              : "use --missing drop to leave out such rows, or --missing mean to fill them");
    }
  }
  if (rows.empty())
    throw Error("{}: every row has a missing value; use --missing mean or exclude a column",
                table.path());
  return rows;
}

Tensor class_labels(const CsvTable& table, const Roles& roles, std::span<const std::int64_t> rows,
                    std::vector<std::string>& classes) {
  if (roles.targets.size() != 1)
    throw Error("{}: {} targets; classification has one, regression any number", table.path(),
                roles.targets.size());
  const std::size_t column = roles.targets.front();
  classes = categories_in(table, column, rows);
  const bool fractions = std::any_of(classes.begin(), classes.end(), [](const std::string& name) {
    const std::optional<double> value = parse_number(name);
    return value && name.find_first_of(".e") != std::string::npos;
  });
  if (fractions)
    throw Error(
        "{}: target '{}' holds numbers with fractions, which are no classes; use --task "
        "regression",
        table.path(), table.columns()[column]);
  if (classes.size() < 2)
    throw Error("{}: target '{}' has one class alone, '{}'", table.path(), table.columns()[column],
                classes.front());
  const std::vector<std::int64_t> labels = category_codes(table, column, rows, classes);
  const Tensor y = host_tensor({static_cast<std::int64_t>(rows.size())}, DType::kInt64);
  std::copy(labels.begin(), labels.end(), y.data<std::int64_t>());
  return y;
}

// float32 (rows, columns) of columns that hold numbers.
Tensor numbers(const CsvTable& table, std::span<const std::size_t> columns,
               std::span<const std::int64_t> rows) {
  const Tensor y = host_tensor(
      {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(columns.size())},
      DType::kFloat32);
  float* to = y.data<float>();
  for (const std::int64_t row : rows)
    for (const std::size_t column : columns)
      *to++ = static_cast<float>(number_in(table, row, column));
  return y;
}

Tensor weights(const CsvTable& table, std::size_t column, std::span<const std::int64_t> rows) {
  const Tensor weight = numbers(table, std::span(&column, 1), rows);
  const std::span<const float> values = weight.span<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] < 0)
      throw Error("{}, line {}, column '{}': a weight of {} is negative", table.path(),
                  table.line(static_cast<std::size_t>(rows[i])), table.columns()[column],
                  values[i]);
  return weight.view({weight.rows()});
}

std::vector<std::int64_t> pick(std::span<const std::int64_t> rows,
                               std::span<const std::int64_t> places) {
  std::vector<std::int64_t> picked;
  for (const std::int64_t place : places) picked.push_back(rows[static_cast<std::size_t>(place)]);
  return picked;
}

}  // namespace

void prepare_csv(const CsvPrepareOptions& options, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  if (std::filesystem::is_regular_file(options.file))
    require_memory(options.file, std::filesystem::file_size(options.file), common);
  const CsvTable table = CsvTable::read(options.file, options.format);
  const Roles roles = find_roles(table, options);
  const std::vector<std::int64_t> rows = usable_rows(table, roles, options.missing);

  DatasetContents contents;
  Tensor x, y, weight;
  const bool classes = options.task == CsvPrepareOptions::Task::kClassification;
  contents.info.task = classes ? "classification" : "regression";
  contents.info.source =
      fmt::format("csv: {}", std::filesystem::path(options.file).filename().string());
  y = classes ? class_labels(table, roles, rows, contents.info.classes)
              : numbers(table, roles.targets, rows);
  if (roles.weight) weight = weights(table, *roles.weight, rows);

  CsvEncoding encoding =
      CsvEncoding::learn(table, roles.inputs, rows, roles.categorical, options.categories);
  const std::uint64_t numbers_bytes = rows.size() * encoding.names().size() * sizeof(float) +
                                      y.bytes() + (weight ? weight.bytes() : 0);
  require_memory(options.file, table.memory_bytes() + numbers_bytes, common);
  Split split = plan_split(*rows_in_memory(y, y, {}), common);
  if (options.missing == MissingValues::kMean) encoding.learn_fills(table, pick(rows, split.train));
  x = encoding.encode(table, rows);

  contents.columns = encoding.names();
  contents.encoding = encoding.json();
  for (const std::size_t column : roles.targets)
    contents.targets.push_back(table.columns()[column]);
  if (!options.standardize) {
    contents.info.mean.assign(contents.columns.size(), 0.0);
    contents.info.std.assign(contents.columns.size(), 1.0);
  }
  write_parts(rows_in_memory(x, y, weight), std::move(split), common, std::move(contents));
}

}  // namespace lockstep
