// What memory of a device is for. Whoever allocates says so by a MemoryUse around it, and a device
// that keeps account lists its memory by these names, so that nobody guesses what has taken it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lockstep {

// What this thread allocates while it lives is for `name`; the innermost counts.
class MemoryUse {
 public:
  explicit MemoryUse(std::string name);
  ~MemoryUse();
  MemoryUse(const MemoryUse&) = delete;
  MemoryUse& operator=(const MemoryUse&) = delete;

  static const std::string& current();  // "other" where no scope is open

 private:
  std::string name_;
  const std::string* outer_;
};

// For members that are allocated where they are initialised.
template <typename Make>
auto for_use(const char* name, const Make& make) {
  const MemoryUse use(name);
  return make();
}

struct MemoryRow {
  std::string use;
  std::size_t pieces = 0, bytes = 0;
};

std::string bytes_text(std::size_t bytes);  // "1.5 GiB"
// A line each, the largest first, and their sum; each line is indented.
std::string memory_table(std::vector<MemoryRow> rows);

}  // namespace lockstep
