// Learning, applying and storing the encoding of CSV columns.
#include "io/prepare/csv_encoding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "io/dataset/dataset.h"

namespace lockstep {
namespace {

using OrderedJson = nlohmann::ordered_json;
using Kind = CsvColumnEncoding::Kind;

// Beyond this a one-hot column is most likely a name or an identifier.
constexpr std::size_t kMostOneHot = 1000;

constexpr std::pair<Kind, const char*> kKindNames[] = {
    {Kind::kNumber, "number"}, {Kind::kOneHot, "one-hot"}, {Kind::kOrdinal, "ordinal"}};

const char* kind_name(Kind kind) {
  for (const auto& [known, name] : kKindNames)
    if (known == kind) return name;
  throw Error("unknown kind of column");
}

std::size_t index(std::int64_t row) {
  return static_cast<std::size_t>(row);
}

std::string where(const CsvTable& table, std::int64_t row, std::size_t column) {
  return fmt::format("{}, line {}, column '{}'", table.path(), table.line(index(row)),
                     table.columns()[column]);
}

bool all_numbers(std::span<const std::string> values) {
  return std::all_of(values.begin(), values.end(),
                     [](const std::string& value) { return parse_number(value).has_value(); });
}

std::string shortest(double number) {
  return fmt::format("{}", number);
}

std::size_t width(const CsvColumnEncoding& column) {
  return column.kind == Kind::kOneHot ? column.values.size() : 1;
}

// What decides whether a column is one of numbers.
struct CellCounts {
  std::int64_t numbers = 0, present = 0;
};

// What stands for the missing cells of a column.
struct FillSums {
  double sum = 0;
  std::int64_t count = 0;
  std::vector<std::int64_t> of_category;
};

}  // namespace

double number_in(const CsvTable& table, std::int64_t row, std::size_t column) {
  const std::string_view cell = table.cell(index(row), column);
  const std::optional<double> value = parse_number(cell);
  if (!value || std::abs(*value) > std::numeric_limits<float>::max())
    throw Error(
        "{}: '{}' is no finite number, as the rest of the column; correct it, or name the "
        "column as categorical",
        where(table, row, column), cell);
  return *value;
}

void Categories::add(std::string_view cell) {
  if (!is_missing(cell) && !found_.contains(cell)) found_.emplace(cell);
}

std::vector<std::string> Categories::sorted() const {
  std::vector<std::string> values(found_.begin(), found_.end());
  if (!all_numbers(values)) return values;
  std::set<double> numbers;
  for (const std::string& value : values) numbers.insert(*parse_number(value));
  values.clear();
  for (const double number : numbers) values.push_back(shortest(number));
  return values;
}

std::vector<std::int64_t> category_codes(const CsvTable& table, std::size_t column,
                                         std::span<const std::int64_t> rows,
                                         std::span<const std::string> values) {
  std::map<std::string, std::int64_t, std::less<>> code_of;
  for (const std::string& value : values)
    code_of.emplace(value, static_cast<std::int64_t>(code_of.size()));
  const bool numeric = all_numbers(values);
  std::vector<std::int64_t> codes;
  codes.reserve(rows.size());
  for (const std::int64_t row : rows) {
    const std::string_view cell = table.cell(index(row), column);
    if (is_missing(cell)) {
      codes.push_back(-1);
      continue;
    }
    const std::optional<double> number = numeric ? parse_number(cell) : std::nullopt;
    const auto found = number ? code_of.find(shortest(*number)) : code_of.find(cell);
    if (found == code_of.end())
      throw Error("{}: '{}' is not among the {} known categories", where(table, row, column), cell,
                  values.size());
    codes.push_back(found->second);
  }
  return codes;
}

CsvEncoding CsvEncoding::learn(CsvFile& file, std::span<const std::size_t> columns,
                               std::span<const std::int64_t> rows,
                               std::span<const std::size_t> categorical, CategoryCoding coding) {
  std::vector<CellCounts> counts(columns.size());
  file.for_each_block(rows, [&](const CsvTable& table, std::span<const std::int64_t> in_table) {
    for (const std::int64_t row : in_table) {
      for (std::size_t i = 0; i < columns.size(); ++i) {
        const std::string_view cell = table.cell(index(row), columns[i]);
        if (is_missing(cell)) continue;
        ++counts[i].present;
        if (parse_number(cell)) ++counts[i].numbers;
      }
    }
  });
  CsvEncoding encoding;
  std::vector<std::size_t> of_categories;  // places in `columns`
  for (std::size_t i = 0; i < columns.size(); ++i) {
    CsvColumnEncoding& learnt = encoding.columns_.emplace_back();
    learnt.name = file.columns()[columns[i]];
    if (counts[i].present == 0)
      throw Error("{}: column '{}' has no values; exclude it", file.path(), learnt.name);
    const bool named =
        std::find(categorical.begin(), categorical.end(), columns[i]) != categorical.end();
    if (2 * counts[i].numbers > counts[i].present && !named) continue;
    learnt.kind = coding == CategoryCoding::kOneHot ? Kind::kOneHot : Kind::kOrdinal;
    of_categories.push_back(i);
  }
  if (of_categories.empty()) return encoding;

  std::vector<Categories> categories(of_categories.size());
  file.for_each_block(rows, [&](const CsvTable& table, std::span<const std::int64_t> in_table) {
    for (const std::int64_t row : in_table)
      for (std::size_t k = 0; k < categories.size(); ++k)
        categories[k].add(table.cell(index(row), columns[of_categories[k]]));
  });
  for (std::size_t k = 0; k < categories.size(); ++k) {
    CsvColumnEncoding& learnt = encoding.columns_[of_categories[k]];
    learnt.values = categories[k].sorted();
    if (learnt.kind == Kind::kOneHot && learnt.values.size() > kMostOneHot)
      throw Error(
          "{}: column '{}' has {} categories, too many for one-hot; exclude the column or "
          "take ordinal categories",
          file.path(), learnt.name, learnt.values.size());
  }
  return encoding;
}

void CsvEncoding::learn_fills(CsvFile& file, std::span<const std::int64_t> train_rows) {
  std::vector<FillSums> sums(columns_.size());
  for (std::size_t i = 0; i < columns_.size(); ++i)
    sums[i].of_category.resize(columns_[i].values.size());
  file.for_each_block(train_rows, [&](const CsvTable& table,
                                      std::span<const std::int64_t> in_table) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::size_t place = table.column(columns_[i].name, "an input");
      if (columns_[i].kind != Kind::kNumber) {
        for (const std::int64_t code : category_codes(table, place, in_table, columns_[i].values))
          if (code >= 0) ++sums[i].of_category[index(code)];
        continue;
      }
      for (const std::int64_t row : in_table) {
        if (is_missing(table.cell(index(row), place))) continue;
        sums[i].sum += number_in(table, row, place);
        ++sums[i].count;
      }
    }
  });
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    CsvColumnEncoding& column = columns_[i];
    const FillSums& of = sums[i];
    if (column.kind != Kind::kNumber) {
      const auto most = std::max_element(of.of_category.begin(), of.of_category.end());
      column.fill = column.values[index(most - of.of_category.begin())];
      continue;
    }
    if (of.count == 0)
      throw Error("{}: column '{}' has no values in the training part to take a mean of",
                  file.path(), column.name);
    column.fill = shortest(of.sum / static_cast<double>(of.count));
  }
}

std::vector<std::string> CsvEncoding::names() const {
  std::vector<std::string> names;
  for (const CsvColumnEncoding& column : columns_) {
    if (column.kind != Kind::kOneHot)
      names.push_back(column.name);
    else
      for (const std::string& value : column.values) names.push_back(column.name + "=" + value);
  }
  return names;
}

Tensor CsvEncoding::encode(const CsvTable& table, std::span<const std::int64_t> rows) const {
  std::size_t total = 0;
  for (const CsvColumnEncoding& column : columns_) total += width(column);
  Tensor x = host_tensor({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(total)},
                         DType::kFloat32);
  const std::span<float> values = x.span<float>();
  std::fill(values.begin(), values.end(), 0.0f);
  std::size_t first = 0;  // of the columns of x that this column becomes
  for (const CsvColumnEncoding& column : columns_) {
    const std::size_t place = table.column(column.name, "an input");
    const auto require_fill = [&](std::size_t i) {
      if (!column.fill)
        throw Error("{}: missing value; drop such rows or fill them with the mean",
                    where(table, rows[i], place));
    };
    if (column.kind == Kind::kNumber) {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const bool missing = is_missing(table.cell(index(rows[i]), place));
        if (missing) require_fill(i);
        values[i * total + first] = static_cast<float>(missing ? parse_number(*column.fill).value()
                                                               : number_in(table, rows[i], place));
      }
    } else {
      const std::vector<std::int64_t> codes = category_codes(table, place, rows, column.values);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        std::size_t code = index(codes[i]);
        if (codes[i] < 0) {
          require_fill(i);
          code = static_cast<std::size_t>(
              std::find(column.values.begin(), column.values.end(), *column.fill) -
              column.values.begin());
        }
        if (column.kind == Kind::kOneHot)
          values[i * total + first + code] = 1.0f;
        else
          values[i * total + first] = static_cast<float>(code);
      }
    }
    first += width(column);
  }
  return x;
}

std::string CsvEncoding::json() const {
  OrderedJson list = OrderedJson::array();
  for (const CsvColumnEncoding& column : columns_) {
    OrderedJson entry = {{"name", column.name}, {"kind", kind_name(column.kind)}};
    if (column.kind != Kind::kNumber) entry["values"] = column.values;
    if (column.fill) entry["fill"] = *column.fill;
    list.push_back(std::move(entry));
  }
  return OrderedJson{{"columns", std::move(list)}}.dump();
}

CsvEncoding::CsvEncoding(const std::string& json) {
  try {
    const OrderedJson parsed = OrderedJson::parse(json);
    for (const OrderedJson& entry : parsed.at("columns")) {
      CsvColumnEncoding& column = columns_.emplace_back();
      column.name = entry.at("name").get<std::string>();
      const auto kind = entry.at("kind").get<std::string>();
      const auto* known = std::find_if(std::begin(kKindNames), std::end(kKindNames),
                                       [&](const auto& pair) { return kind == pair.second; });
      if (known == std::end(kKindNames)) throw Error("damaged CSV encoding: kind '{}'", kind);
      column.kind = known->first;
      if (column.kind != Kind::kNumber)
        column.values = entry.at("values").get<std::vector<std::string>>();
      if (!entry.contains("fill")) continue;
      column.fill = entry["fill"].get<std::string>();
      const bool known_fill = column.kind == Kind::kNumber
                                  ? parse_number(*column.fill).has_value()
                                  : std::find(column.values.begin(), column.values.end(),
                                              *column.fill) != column.values.end();
      if (!known_fill) throw Error("damaged CSV encoding: fill '{}'", *column.fill);
    }
  } catch (const OrderedJson::exception& error) {
    throw Error("damaged CSV encoding: {}", error.what());
  }
}

}  // namespace lockstep
