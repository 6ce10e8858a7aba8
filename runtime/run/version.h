// The program's version and how it was built; set by the build.
#pragma once

namespace lockstep {

inline constexpr const char* kVersion = LOCKSTEP_VERSION;
inline constexpr const char* kBuild = LOCKSTEP_BUILD;

}  // namespace lockstep
