// The kinds that [[data.augment]] can name, with their keys. A new kind: a transform in io/augment
// and a row in augment_kinds.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/augment/augmentation.h"
#include "runtime/config/table_keys.h"

namespace lockstep {

struct AugmentKind {
  std::string_view name, help;
  std::vector<TableKey> keys;  // beside "kind"
  void (*add)(const TableKeys& keys, AugmentOptions& options);
};

std::span<const AugmentKind> augment_kinds();

// The table as text, for --help.
std::string augment_kinds_help();

// data.augment, without the seed. Throws Error with file, line, table and key.
AugmentOptions read_augmentation(const DataConfig& data);

}  // namespace lockstep
