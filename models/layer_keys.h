// LayerKeys: one table of [[model.layers]], read by the kind that it names. Defaults come from the
// kind's row in layer_kinds.cc; every message begins with file, line, layer and key.
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

// A key of a kind of layer. The default as TOML; empty: the key must be given; in parentheses: a
// rule that the kind's factory follows where has() is false.
struct LayerKey {
  std::string_view name, fallback, help;
};

class LayerKeys {
 public:
  // `path`: "model.layers[3]". `outputs`: what the loss asks for, for the last linear layer of the
  // network; 0 for all others. The table and the keys must outlive this.
  LayerKeys(const ConfigTable& table, std::span<const LayerKey> known, std::string path,
            std::int64_t outputs = 0);

  const std::string& path() const { return path_; }
  std::string place(std::string_view key) const;  // where it was written, else where the table was
  std::int64_t outputs() const { return outputs_; }

  bool has(std::string_view key) const;
  bool flag(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t minimum = 1) const;
  std::pair<std::int64_t, std::int64_t> pair(std::string_view key,
                                             std::int64_t minimum = 1) const;  // n, [h, w]
  double number(std::string_view key, double low, double high) const;          // in [low, high]
  double share(std::string_view key) const;                                    // in [0, 1)
  std::string text(std::string_view key, const std::vector<std::string>& choices) const;
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
  std::span<const LayerKey> known_;
  std::vector<ConfigItem> defaults_;
  std::string path_;
  std::int64_t outputs_;
};

}  // namespace lockstep
