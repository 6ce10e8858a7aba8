#include "runtime/config/parameter_groups.h"

#include <array>
#include <limits>

#include "runtime/config/table_keys.h"

namespace lockstep {

namespace {

constexpr std::array<TableKey, 3> kKeys{{
    {"match", "", "names of parameters or of layers, as \"layer1.*\""},
    {"lr_scale", "1.0", "factor of the learning rate"},
    {"weight_decay", "(optimizer.weight_decay)", "instead of optimizer.weight_decay"},
}};

}  // namespace

std::vector<ParameterGroup> parameter_groups(const OptimizerConfig& optimizer) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  std::vector<ParameterGroup> groups;
  for (const ConfigTable& table : optimizer.groups) {
    const std::string path = fmt::format("optimizer.groups[{}]", groups.size());
    const TableKeys keys(table, kKeys, path);
    keys.check_known({}, "a group");
    ParameterGroup& group = groups.emplace_back();
    group.match = keys.texts("match");
    group.lr_scale = keys.number("lr_scale", 0, kLargest);
    if (keys.has("weight_decay")) group.weight_decay = keys.number("weight_decay", 0, kLargest);
    if (!keys.has("lr_scale") && !keys.has("weight_decay"))
      throw Error("{}: {} changes nothing; give lr_scale or weight_decay", table.where, path);
    group.where = fmt::format("{}: {}.match", keys.place("match"), path);
  }
  return groups;
}

}  // namespace lockstep
