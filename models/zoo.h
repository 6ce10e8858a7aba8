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
Network make_network(const std::string& name, const ModelTable& keys, const NetworkInput& input);

// The table as text, for --help.
std::string networks_help();

}  // namespace lockstep
