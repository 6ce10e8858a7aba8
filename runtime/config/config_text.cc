// A config as text: resolved TOML, its mathematical part, differences, the help page.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "runtime/config/config.h"
#include "runtime/config/config_schema.h"
#include "runtime/config/config_value.h"

namespace lockstep {

namespace {

struct Line {
  std::string table, key, value;  // the key as TOML writes it
  std::string path() const { return table + "." + key; }
};

ConfigValue to_value(std::span<const std::int64_t> shape, std::span<const double> values) {
  if (shape.empty()) return {values[0]};
  const std::size_t stride = values.size() / static_cast<std::size_t>(shape[0]);
  ConfigValue::Array rows;
  for (std::size_t row = 0; row < static_cast<std::size_t>(shape[0]); ++row)
    rows.push_back(to_value(shape.subspan(1), values.subspan(row * stride, stride)));
  return {std::move(rows)};
}

// Tables of an array one a line, all else in one.
std::string written(const ConfigValue& value) {
  if (!is_array_of_tables(value)) return toml_text(value);
  std::string text = "[\n";
  for (const ConfigValue& table : std::get<ConfigValue::Array>(value.value))
    text += fmt::format("  {},\n", toml_text(table));
  return text + "]";
}

void add_network_lines(const ModelConfig& model, std::vector<Line>& lines) {
  for (const auto& [key, entry] : model.table.entries())
    lines.push_back({"model", toml_key(key), written(entry.value)});
  for (const auto& [name, initial] : model.initial)
    lines.push_back(
        {"model.initial", toml_key(name), toml_text(to_value(initial.shape, initial.values))});
}

// Lines in the order of the schema, the network's own keys after those of [model].
std::vector<Line> resolved_lines(const Config& config, bool mathematical_only) {
  std::vector<Line> lines;
  bool network_written = false;
  for (const ConfigKey& key : config_schema()) {
    if (key.table() == "loss" && !network_written) {
      add_network_lines(config.model, lines);
      network_written = true;
    }
    if (mathematical_only && key.role != KeyRole::kMathematical) continue;
    if (const auto value = resolved_value(key, config))
      lines.push_back({std::string(key.table()), std::string(key.name()), written(*value)});
  }
  return lines;
}

// Every key of every table in an array as a line of its own: "layers[2].features".
void add_elements(const std::string& table, const std::string& key, const ConfigValue& value,
                  std::vector<Line>& lines) {
  if (const auto* inner = std::get_if<ConfigTable>(&value.value)) {
    for (const ConfigItem& item : inner->items)
      add_elements(table, fmt::format("{}.{}", key, item.key), item.entry.value, lines);
  } else if (is_array_of_tables(value)) {
    const auto& array = std::get<ConfigValue::Array>(value.value);
    for (std::size_t i = 0; i < array.size(); ++i)
      add_elements(table, fmt::format("{}[{}]", key, i), array[i], lines);
  } else {
    lines.push_back({table, key, toml_text(value)});
  }
}

std::vector<Line> compared_lines(const Config& config) {
  std::vector<Line> lines = resolved_lines(config, true);
  const auto expand = [&](const std::string& table, const std::string& key,
                          const ConfigValue& value) {
    if (!is_array_of_tables(value)) return;
    std::erase_if(
        lines, [&](const Line& line) { return line.table == table && line.key == toml_key(key); });
    add_elements(table, key, value, lines);
  };
  for (const auto& [key, entry] : config.model.table.entries()) expand("model", key, entry.value);
  for (const ConfigKey& key : config_schema())
    if (const auto value = resolved_value(key, config); key.role == KeyRole::kMathematical && value)
      expand(std::string(key.table()), std::string(key.name()), *value);
  return lines;
}

std::string join(const std::vector<Line>& lines) {
  std::string text, table;
  for (const Line& line : lines) {
    if (line.table != table) text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", line.table);
    table = line.table;
    text += fmt::format("{} = {}\n", line.key, line.value);
  }
  return text;
}

// The keys that may be "auto" are so unless given.
std::string help_of(const ConfigKey& key) {
  std::string text = fmt::format("  {:<20} {}\n", key.name(), key.help);
  text += fmt::format("  {:<20}   {}", "", key.expected);
  if (!key.range.empty()) text += ", " + key.range;
  if (key.unset_is_zero) return text;
  return text + "; default " + (key.or_auto ? "\"auto\"" : toml_text(key.get(Config{})));
}

// Letters inserted, removed, replaced, or swapped with their neighbour (Damerau and Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> distance(a.size() + 1,
                                                 std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        distance[i][j] = i + j;
        continue;
      }
      const std::size_t replaced = distance[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      distance[i][j] = std::min({replaced, distance[i - 1][j] + 1, distance[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
    }
  }
  return distance[a.size()][b.size()];
}

}  // namespace

std::string to_toml(const Config& config) {
  return join(resolved_lines(config, false));
}

std::string mathematical_toml(const Config& config) {
  return join(resolved_lines(config, true));
}

std::vector<ConfigDifference> differing_mathematical_keys(const Config& before,
                                                          const Config& after) {
  std::vector<ConfigDifference> differences;
  const auto find = [](const std::vector<Line>& lines, const Line& wanted) -> const Line* {
    const auto found = std::ranges::find(lines, wanted.path(), &Line::path);
    return found == lines.end() ? nullptr : &*found;
  };
  const std::vector<Line> old_lines = compared_lines(before);
  const std::vector<Line> new_lines = compared_lines(after);
  const bool auto_shards = before.run.shards == 0 || after.run.shards == 0;
  for (const Line& line : old_lines) {
    if (auto_shards && line.path() == "run.shards") continue;
    const Line* other = find(new_lines, line);
    if (other == nullptr || other->value != line.value)
      differences.push_back(
          {line.path(), line.value, other == nullptr ? "(absent)" : other->value});
  }
  for (const Line& line : new_lines)
    if (find(old_lines, line) == nullptr)
      differences.push_back({line.path(), "(absent)", line.value});
  return differences;
}

std::string config_help() {
  std::string text, table;
  for (const ConfigKey& key : config_schema()) {
    if (key.table() != table)
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", key.table());
    table = key.table();
    text += help_of(key);
    if (!key.kinds.empty()) text += "; for " + quoted_list(key.kinds);
    text += key.role == KeyRole::kOperational ? "; operational\n" : "\n";
  }
  return text;
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  std::string nearest;
  std::size_t least = std::max<std::size_t>(2, word.size() / 4) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= least) continue;
    least = distance;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace lockstep
