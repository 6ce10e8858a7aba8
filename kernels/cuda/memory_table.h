// What this process holds of a GPU's memory, for the message that tells of its end.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

namespace lockstep::gpu {

class MemoryTable {
 public:
  void add(const void* memory, std::size_t bytes);
  void remove(const void* memory) noexcept;  // nothing happens where it is not in the table
  std::size_t held() const;

  // The sizes that take most, by their sums, and what to try. `free` and `total` are the GPU's.
  std::string out_of_memory(std::size_t asked, std::size_t free, std::size_t total) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<const void*, std::size_t> pieces_;
  std::size_t held_ = 0;
};

}  // namespace lockstep::gpu
