#pragma once

#include <string>

namespace lockstep {

// "lockstep 0.1.0 (g++ 12.2.0, Release; Open MPI 4.1.4; HDF5 1.10.8)"
std::string version_text();

// And the CUDA plug-in, the libraries that it uses, the GPUs and which of them reach each other's
// memory; or why there are none.
std::string verbose_version_text();

}  // namespace lockstep
