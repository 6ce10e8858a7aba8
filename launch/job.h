// Job: a command that may run on several ranks. Starts MPI, runs the command, and makes sure that
// the first error is printed once, that the job ends, and that the exit code is not zero.
#pragma once

#include <functional>

#include "runtime/communication/communicator.h"
#include "runtime/communication/world.h"

namespace lockstep {

inline constexpr int kExitError = 1;
inline constexpr int kExitInterrupted = 75;  // EX_TEMPFAIL: checkpoint written, run again to resume

int run_job(Transport transport, const std::function<int(Communicator&)>& command);

}  // namespace lockstep
