// TableKeys: one table of a list in a config (a layer, a transform, a phase), read by the kind that
// it names. Defaults come from the kind's list of keys; every message begins with file, line, table
// and key.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/core/error.h"
#include "runtime/config/config.h"

namespace lockstep {

// A key of such a table. The default as TOML; empty: the key must be given; in parentheses: a rule
// that the reader follows where has() is false.
struct TableKey {
  std::string_view name, fallback, help;
};

class TableKeys {
 public:
  // `path`: "model.layers[3]". The table and the keys must outlive this.
  TableKeys(const ConfigTable& table, std::span<const TableKey> known, std::string path);

  // Throws Error at a key that is neither known nor one of `shared` (those of all kinds); `what`
  // the table is, as in "a layer of the kind 'linear'".
  void check_known(const std::vector<std::string>& shared, const std::string& what) const;

  const std::string& path() const { return path_; }
  std::string place(std::string_view key) const;  // where it was written, else where the table was

  bool has(std::string_view key) const;
  bool flag(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t minimum = 1) const;
  std::pair<std::int64_t, std::int64_t> pair(std::string_view key,
                                             std::int64_t minimum = 1) const;  // n, [h, w]
  double number(std::string_view key, double low, double high) const;          // in [low, high]
  double share(std::string_view key) const;                                    // in [0, 1)
  // A number or an array of numbers, each in [low, high]; not empty.
  std::vector<double> numbers(std::string_view key, double low, double high) const;
  std::string text(std::string_view key, const std::vector<std::string>& choices) const;
  std::vector<std::string> texts(std::string_view key) const;  // "a" or ["a", "b"], none empty
  // Tables of layers, as `layers = [...]` or `[[model.layers.layers]]` give them.
  const ConfigValue& value(std::string_view key) const;

  // "digits.toml:14: model.layers[3].kernel ..."; Error(keys.message("kernel", "must ...")).
  std::string message(std::string_view key, const std::string& text) const;

 private:
  const ConfigEntry* find(std::string_view key) const;
  template <typename T>
  bool read(std::string_view key, T& result) const;  // false where the value is of another type
  [[noreturn]] void refuse(std::string_view key, const std::string& expected) const;

  const ConfigTable& table_;
  std::span<const TableKey> known_;
  std::vector<ConfigItem> defaults_;
  std::string path_;
};

}  // namespace lockstep
