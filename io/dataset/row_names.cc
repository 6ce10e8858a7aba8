#include "io/dataset/row_names.h"

#include "io/hdf5/hdf5.h"

namespace lockstep {

std::vector<std::string> row_names(const DataSource& source) {
  std::vector<std::string> names;
  for (const std::string& path : source.file.expand()) {
    const hdf5::File file = hdf5::File::open(path);
    if (source.group.empty() || !file.has_group(source.group)) return {};
    auto found = file.texts(source.group, kNamesAttribute);
    if (!found) return {};
    names.insert(names.end(), found->begin(), found->end());
  }
  return names;
}

}  // namespace lockstep
