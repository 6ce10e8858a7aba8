// The MPI form of the Communicator.
#pragma once

#include <memory>

#include "runtime/communication/world.h"

namespace lockstep {

// A collective of all ranks of the MPI session, which must outlive it.
std::unique_ptr<Communicator> make_mpi_communicator(const Placement& placement);

}  // namespace lockstep
