// The subcommands of the executable, one file each. Every function adds its command to the CLI and
// stores in `action` what lockstep_main() shall run when the command was given.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "launch/networks.h"

namespace lockstep {

using Action = std::function<int()>;

void add_train(CLI::App& app, Action& action, const Networks& networks);
void add_evaluate(CLI::App& app, Action& action, const Networks& networks);
void add_predict(CLI::App& app, Action& action, const Networks& networks);
void add_prepare(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action, const Networks& networks);
void add_check(CLI::App& app, Action& action, const Networks& networks);
void add_export(CLI::App& app, Action& action, const Networks& networks);
void add_compare(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action, const Networks& networks);
void add_completion(CLI::App& app, Action& action);

}  // namespace lockstep
