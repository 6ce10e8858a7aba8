// The zoo: every network that [model] network can name, with the keys that it reads.
#pragma once

#include <span>
#include <string_view>

#include "models/network.h"

namespace lockstep {

struct NetworkKey {
  std::string_view name, fallback, help;  // fallback: as TOML
};

struct NetworkEntry {
  std::string_view name, help;
  std::vector<NetworkKey> keys;
  Network (*make)(const ModelTable& keys, const NetworkInput& input);
};

std::span<const NetworkEntry> networks();

// Not built yet. Throws Error for an unknown network (with the nearest name and the list), for
// keys that the network does not read, and for values that it cannot use.
// `own`: entries beside those of the table.
Network make_network(const std::string& name, const ModelTable& keys, const NetworkInput& input,
                     std::span<const NetworkEntry> own = {});

// The table as text, with `own` entries, for --help.
std::string networks_help(std::span<const NetworkEntry> own = {});

}  // namespace lockstep
