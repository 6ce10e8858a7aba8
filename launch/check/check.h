// The subcommands of `lockstep check`, a file each.
#pragma once

#include "launch/commands.h"

namespace lockstep {

void add_check_data(CLI::App* check, Action& action);
void add_check_step(CLI::App* check, Action& action, const Networks& networks);

}  // namespace lockstep
