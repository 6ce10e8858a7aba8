// lockstep check WHAT: looks for mistakes before they cost a training run.
#include "launch/check/check.h"

namespace lockstep {

void add_check(CLI::App& app, Action& action, const Networks& networks) {
  CLI::App* check = app.add_subcommand("check", "look for mistakes before training");
  check->require_subcommand(1);
  add_check_data(check, action);
  add_check_step(check, action, networks);
  check->footer("Each check has a --help of its own.\n");
}

}  // namespace lockstep
