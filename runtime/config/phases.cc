#include "runtime/config/phases.h"

#include <array>
#include <limits>

#include "runtime/config/config_value.h"
#include "runtime/config/table_keys.h"

namespace lockstep {

namespace {

constexpr std::array<TableKey, 6> kKeys{{
    {"train", "\"all\"", "what trains: patterns of names, \"head\", \"all\""},
    {"batch_norm", "\"auto\"", "\"frozen\": running statistics rest; auto: of frozen layers"},
    {"epochs", "(steps)", "passes over the training part"},
    {"steps", "(epochs)", "updates, instead of epochs"},
    {"lr", "(optimizer.lr)", "learning rate"},
    {"schedule", "([schedule])", "course of the learning rate over this phase"},
}};

Phase read_phase(const TableKeys& keys, const Config& config) {
  Phase phase;
  phase.where = keys.message("train", "");
  phase.where.pop_back();
  phase.train = keys.texts("train");
  phase.frozen_statistics = keys.text("batch_norm", {"auto", "frozen"}) == "frozen";
  if (keys.has("epochs") == keys.has("steps"))
    throw Error("{}: {} needs epochs or steps, one of the two",
                keys.place(keys.has("steps") ? "steps" : "epochs"), keys.path());
  if (keys.has("epochs"))
    phase.epochs = keys.integer("epochs");
  else
    phase.steps = keys.integer("steps");
  phase.lr = config.optimizer.lr;
  if (keys.has("lr")) phase.lr = keys.number("lr", 0, std::numeric_limits<float>::max());
  phase.schedule = config.schedule;
  if (keys.has("schedule")) {
    const auto* table = std::get_if<ConfigTable>(&keys.value("schedule").value);
    if (table == nullptr)
      throw Error("{}", keys.message("schedule", "must be a table, as in { kind = \"cosine\" }"));
    phase.schedule = read_schedule(*table);
  }
  return phase;
}

}  // namespace

std::vector<Phase> training_phases(const Config& config) {
  std::vector<Phase> phases;
  for (const ConfigTable& table : config.training.phases) {
    const TableKeys keys(table, kKeys, fmt::format("training.phases[{}]", phases.size()));
    keys.check_known({}, "a phase");
    phases.push_back(read_phase(keys, config));
  }
  if (!phases.empty()) return phases;
  Phase whole;
  whole.epochs = config.training.epochs;
  whole.steps = config.training.steps;
  whole.lr = config.optimizer.lr;
  whole.schedule = config.schedule;
  return {whole};
}

}  // namespace lockstep
