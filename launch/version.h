#pragma once

#include <string>

namespace lockstep {

// "lockstep 0.1.0 (g++ 12.2.0, Release; Open MPI 4.1.4; HDF5 1.10.8)"
std::string version_text();

}  // namespace lockstep
