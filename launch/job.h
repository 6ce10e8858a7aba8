// Job: a command that may run on several ranks. Starts MPI, runs the command, and makes sure that
// the first error is printed once, that the job ends, and that the exit code is not zero.
#pragma once

#include <functional>

#include "runtime/communication/communicator.h"
#include "runtime/communication/world.h"
#include "runtime/config/config.h"
#include "runtime/run/rank_log.h"

namespace lockstep {

inline constexpr int kExitError = 1;
inline constexpr int kExitInterrupted = 75;  // EX_TEMPFAIL: checkpoint written, run again to resume

// `configure` reads what the command needs (a config file); an error of it on any rank is the error
// of all, printed once. `command` then runs with the config, whose transport decides how ranks
// talk.
// Where `log` is given, every rank writes a log of its own (see RankLog), errors among its lines.
int run_job(const std::function<Config()>& configure,
            const std::function<int(const Config&, Communicator&, RankLog&)>& command,
            const std::string& log = "");
int run_job(const std::function<Config()>& configure,
            const std::function<int(const Config&, Communicator&)>& command);

}  // namespace lockstep
