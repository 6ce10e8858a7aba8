// FileNames: the data files that a config or a command names: one path, a list of paths, globs
// among them. A glob stands for the files it matches, sorted by the bytes of their names, so that
// rows have the same numbers on every machine.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

namespace lockstep {

class FileNames {
 public:
  FileNames() = default;
  FileNames(std::string name) : names_(1, std::move(name)) {
    if (names_.front().empty()) names_.clear();
  }
  FileNames(const char* name) : FileNames(std::string(name)) {}
  FileNames(std::vector<std::string> names) : names_(std::move(names)) {}

  bool empty() const { return names_.empty(); }
  const std::vector<std::string>& names() const { return names_; }  // as they were written
  // "train.h5", "part-*.h5", "a.h5, b.h5", "a.h5 and 7 more": for messages.
  std::string text() const;
  // Every glob in its place replaced by the files it matches. A name that is a file is that file,
  // whatever characters it holds. Throws Error for a glob without a match and for no name at all;
  // a missing file is left to whoever opens it.
  std::vector<std::string> expand() const;

  friend bool operator==(const FileNames&, const FileNames&) = default;

 private:
  std::vector<std::string> names_;
};

}  // namespace lockstep

template <>
struct fmt::formatter<lockstep::FileNames> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const lockstep::FileNames& files, Context& context) const {
    return fmt::formatter<std::string>::format(files.text(), context);
  }
};
