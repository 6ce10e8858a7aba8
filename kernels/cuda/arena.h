// Arena: the memory that a back end has of its device, each piece under the use that it is for
// (MemoryUse).
//
// A training run reserves what its rehearsal has counted: one allocation of the device's, in which
// tensors and workspaces then find their places. What nothing was reserved for, and what does not
// fit, is an allocation of its own. A rehearsal's arena only counts: it finds places in the same
// way, at addresses where there is no memory.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/core/memory_use.h"
#include "kernels/gpu/gpu_library.h"

namespace lockstep::gpu {

class Arena : public std::enable_shared_from_this<Arena> {
 public:
  enum class Kind { kReal, kRehearsed };
  static std::shared_ptr<Arena> make(Kind kind);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 256-byte aligned; frees itself, once the device has done all that was queued. Throws Error
  // where there is no memory left, which lists what has it, and what to try.
  std::shared_ptr<std::byte> allocate(std::size_t bytes);
  std::shared_ptr<std::byte> allocate_pinned(std::size_t bytes);  // of the host

  // Once, before the allocations that it is for. Throws Error, which lists the plan's rows, where
  // the device has less.
  void reserve(const MemoryPlan& plan);

  MemoryReport report() const;  // rows that add up to what the device has given

 private:
  struct Piece {
    std::string use;
    std::size_t bytes = 0;
    bool in_reserve = false;
  };

  explicit Arena(Kind kind);
  std::byte* find_place(std::size_t bytes);  // in the reserve; null where none is long enough
  std::byte* allocate_own(std::size_t bytes);
  std::byte* allocate_own_pinned(std::size_t bytes);
  void free(std::byte* memory) noexcept;
  void free_pinned(std::byte* memory) noexcept;
  std::string out_of_memory(const std::string& asked) const;
  MemoryReport locked_report() const;

  const Kind kind_;
  mutable std::mutex mutex_;
  std::byte* reserve_ = nullptr;
  std::size_t reserved_ = 0;
  std::size_t reached_ = 0;                    // of the reserve, by the highest place so far
  std::map<std::size_t, std::size_t> places_;  // in use: lengths by offset in the reserve
  std::map<std::byte*, Piece> pieces_, pinned_;
  std::string advice_;
};

}  // namespace lockstep::gpu
