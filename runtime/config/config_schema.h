// The schema: every key of a config with its type, check, role and help. Parsing, messages, the
// resolved text, hashes and the help page all come from it. To add a key: a field in config.h and a
// line in config_schema.cc.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/config.h"

namespace lockstep {

enum class KeyRole { kMathematical, kOperational };

struct ConfigKey {
  std::string path;  // "optimizer.lr"
  KeyRole role = KeyRole::kMathematical;
  std::string help;      // one line
  std::string expected;  // "an integer", "one of "cpu", "cuda""
  std::vector<std::string> choices;

  std::function<bool(Config&, const ConfigValue&)> set;  // false where the type is wrong
  std::function<ConfigValue(const Config&)> get;

  // What a number, or every number of an array, has to satisfy, and how a message says it.
  std::function<bool(double)> in_range;
  std::string range;
  bool or_auto = false;        // an integer or "auto", which the field holds as 0
  bool unset_is_zero = false;  // 0 or an empty array stands for "not given" and is not written
  // The values of the table's `kind` that the key belongs to; empty: all.
  std::vector<std::string> kinds;
  std::string excludes;  // the key that says the same in another unit; at most one may be given

  std::string_view table() const;  // "optimizer"
  std::string_view name() const;   // "lr"

  ConfigKey& within(std::string range_text, std::function<bool(double)> check);
  ConfigKey& at_least(double minimum);
  ConfigKey& above(double minimum);
  ConfigKey& one_of(std::vector<std::string> names);  // for strings
  ConfigKey& integer_or_auto();
  ConfigKey& optional();
  ConfigKey& only_for(std::vector<std::string> kind_names);
  ConfigKey& instead_of(std::string other);
};

const std::vector<ConfigKey>& config_schema();
const ConfigKey* find_key(std::string_view path);  // null where there is none
bool is_table(std::string_view path);

// Whether the key means anything under the kind that the config has chosen for its table.
bool applies(const ConfigKey& key, const Config& config);
// The value as the resolved text shows it; nothing where the key is not given or does not apply.
std::optional<ConfigValue> resolved_value(const ConfigKey& key, const Config& config);

// Checks type, choice and range, then sets the field. Throws Error that begins with entry.where.
void set_key(const ConfigKey& key, const ConfigEntry& entry, Config& config);

std::string quoted_list(const std::vector<std::string>& names);  // `"cpu", "cuda"`

// "; did you mean 'optimizer.lr'?" or "".
std::string suggestion(std::string_view path);

}  // namespace lockstep
