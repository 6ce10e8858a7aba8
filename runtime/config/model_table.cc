// The network's own keys: typed reading, and the list of those that nothing has read.
#include <fmt/format.h>

#include <mutex>
#include <set>

#include "kernels/core/error.h"
#include "runtime/config/config.h"
#include "runtime/config/config_value.h"

namespace lockstep {

// Every copy of a config knows what any of them was asked for.
struct ModelTable::Known {
  std::mutex mutex;
  std::set<std::string, std::less<>> keys{"network", "weights", "initial"};
};

ModelTable::ModelTable() : known_(std::make_shared<Known>()) {}

const ConfigEntry* ModelTable::find(std::string_view key) const {
  {
    const std::lock_guard lock(known_->mutex);
    known_->keys.emplace(key);
  }
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

bool ModelTable::has(std::string_view key) const {
  return find(key) != nullptr;
}

void ModelTable::set(std::string key, ConfigEntry entry) {
  entries_.insert_or_assign(std::move(key), std::move(entry));
}

template <typename T>
T ModelTable::read(std::string_view key, const ConfigEntry& entry) const {
  T result{};
  if (!convert(entry.value, result))
    throw Error("{}: 'model.{}' must be {}, found {}", entry.where, key, type_name(T{}),
                describe(entry.value));
  return result;
}

template <typename T>
T ModelTable::get(std::string_view key, const T& fallback) const {
  const ConfigEntry* entry = find(key);
  return entry == nullptr ? fallback : read<T>(key, *entry);
}

template <typename T>
T ModelTable::require(std::string_view key) const {
  const ConfigEntry* entry = find(key);
  if (entry == nullptr)
    throw Error("'model.{}' is missing: the network needs {}", key, type_name(T{}));
  return read<T>(key, *entry);
}

std::vector<std::string> ModelTable::unknown_keys() const {
  const std::lock_guard lock(known_->mutex);
  const std::vector<std::string> candidates(known_->keys.begin(), known_->keys.end());
  std::vector<std::string> messages;
  for (const auto& [key, entry] : entries_) {
    if (known_->keys.contains(key)) continue;
    if (key.starts_with("layers.")) {
      messages.push_back(
          fmt::format("{}: 'model.layers' is a list of tables, one a layer: write [[model.layers]]",
                      entry.where));
      continue;
    }
    const std::string near = nearest_name(key, candidates);
    messages.push_back(
        fmt::format("{}: unknown key 'model.{}'{}", entry.where, key,
                    near.empty() ? "" : fmt::format("; did you mean 'model.{}'?", near)));
  }
  return messages;
}

#define LOCKSTEP_MODEL_KEY_TYPE(T)                                              \
  template T ModelTable::get<T>(std::string_view key, const T& fallback) const; \
  template T ModelTable::require<T>(std::string_view key) const;
LOCKSTEP_MODEL_KEY_TYPE(bool)
LOCKSTEP_MODEL_KEY_TYPE(std::int64_t)
LOCKSTEP_MODEL_KEY_TYPE(double)
LOCKSTEP_MODEL_KEY_TYPE(std::string)
LOCKSTEP_MODEL_KEY_TYPE(std::vector<std::int64_t>)
LOCKSTEP_MODEL_KEY_TYPE(std::vector<double>)
LOCKSTEP_MODEL_KEY_TYPE(std::vector<std::string>)
#undef LOCKSTEP_MODEL_KEY_TYPE

}  // namespace lockstep
