#include "launch/installation.h"

#include <filesystem>
#include <vector>

namespace lockstep {

namespace {

namespace fs = std::filesystem;

std::string first_existing(const std::vector<fs::path>& places) {
  for (const fs::path& place : places)
    if (fs::exists(place)) return place.lexically_normal().string();
  return places.front().lexically_normal().string();
}

fs::path own_folder() {
  return fs::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace

std::string bundled_data(const std::string& name) {
  return first_existing({own_folder() / "../share/lockstep/data" / name,
                         fs::path(LOCKSTEP_INSTALLED_DATA) / name,
                         fs::path("/usr/share/lockstep/data") / name,  // the Debian package's
                         fs::path(LOCKSTEP_SOURCE_DATA) / name});
}

}  // namespace lockstep
