// NodeSegment: zeroed memory, private to this process or shared by the ranks of a node. A shared
// one has no name in any file system: the leader's memfd is opened by the others through /proc, so
// that nothing is left behind after any death and no 64 MB /dev/shm stands in the way. Throws
// Error.
#pragma once

#include <cstddef>
#include <string>

namespace lockstep {

class NodeSegment {
 public:
  NodeSegment() = default;
  NodeSegment(NodeSegment&& other) noexcept;
  NodeSegment& operator=(NodeSegment&& other) noexcept;
  ~NodeSegment();

  static NodeSegment in_process(std::size_t bytes);
  // The leader makes one and tells its address; the others open it, which fails (also in another
  // container on the same node, where the address means something else) rather than map a stranger.
  static NodeSegment create(std::size_t bytes);
  static NodeSegment open(const std::string& address);
  const std::string& address() const { return address_; }

  // Takes the pages of [offset, offset + bytes) now, near the calling thread: touching memory that
  // cannot be had would end the process with a signal later on.
  void reserve(std::size_t offset, std::size_t bytes);
  void close_file();  // after all have opened and reserved
  // Stays mapped until the process ends: for a rank that fails while others read its memory.
  void abandon() { mapping_ = nullptr; }

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  void map(int flags);

  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  void* mapping_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  int file_ = -1;
  std::string address_;
};

}  // namespace lockstep
