#include "launch/version.h"

#include <fmt/format.h>

#include "runtime/communication/world.h"
#include "runtime/run/version.h"

namespace lockstep {

std::string version_text() {
  return fmt::format("lockstep {} ({}; {}; HDF5 {})", kVersion, kBuild, World::library_version(),
                     LOCKSTEP_HDF5_VERSION);
}

}  // namespace lockstep
