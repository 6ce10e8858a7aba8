#include "runtime/communication/node_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

// A shared segment starts with a page of its own for the token by which its openers know it.
constexpr std::size_t kHeader = 4096;
using Token = std::array<std::uint64_t, 2>;

[[noreturn]] void fail(const char* call, int error, std::size_t bytes) {
  throw Error("{} of {} bytes: {}", call, bytes, std::generic_category().message(error));
}

std::string to_text(const Token& token) {
  return fmt::format("{:016x}{:016x}", token[0], token[1]);
}

}  // namespace

NodeSegment::NodeSegment(NodeSegment&& other) noexcept {
  *this = std::move(other);
}

NodeSegment& NodeSegment::operator=(NodeSegment&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  std::swap(file_, other.file_);
  std::swap(address_, other.address_);
  return *this;
}

NodeSegment::~NodeSegment() {
  close_file();
  if (mapping_ != nullptr) munmap(mapping_, mapped_bytes_);
}

void NodeSegment::close_file() {
  if (file_ >= 0) close(file_);
  file_ = -1;
}

void NodeSegment::map(int flags) {
  void* mapping = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, flags, file_, 0);
  if (mapping == MAP_FAILED) fail("mmap", errno, mapped_bytes_);
  mapping_ = mapping;
  madvise(mapping_, mapped_bytes_,
          MADV_HUGEPAGE);  // a wish: many kernels refuse it for shared memory
}

NodeSegment NodeSegment::in_process(std::size_t bytes) {
  NodeSegment result;
  result.bytes_ = bytes;
  result.mapped_bytes_ = bytes == 0 ? 1 : bytes;  // mmap refuses none
  result.map(MAP_PRIVATE | MAP_ANONYMOUS);
  result.data_ = static_cast<std::byte*>(result.mapping_);
  return result;
}

NodeSegment NodeSegment::create(std::size_t bytes) {
  NodeSegment result;
  result.bytes_ = bytes;
  result.mapped_bytes_ = kHeader + bytes;
  result.file_ = memfd_create("lockstep", MFD_CLOEXEC);
  if (result.file_ < 0) fail("memfd_create", errno, bytes);
  if (ftruncate(result.file_, static_cast<off_t>(result.mapped_bytes_)) != 0)
    fail("ftruncate", errno, bytes);
  if (const int error = posix_fallocate(result.file_, 0, kHeader); error != 0)
    fail("posix_fallocate", error, kHeader);
  result.map(MAP_SHARED);
  result.data_ = static_cast<std::byte*>(result.mapping_) + kHeader;

  Token token{};
  if (getrandom(token.data(), sizeof token, 0) != sizeof token) fail("getrandom", errno, bytes);
  std::memcpy(result.mapping_, token.data(), sizeof token);
  result.address_ = fmt::format("{} /proc/{}/fd/{}", to_text(token), getpid(), result.file_);
  return result;
}

NodeSegment NodeSegment::open(const std::string& address) {
  const std::size_t space = address.find(' ');
  LOCKSTEP_CHECK(space != std::string::npos, "'{}' is no segment's address", address);
  const std::string path = address.substr(space + 1);
  NodeSegment result;
  result.file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (result.file_ < 0) throw Error("open {}: {}", path, std::generic_category().message(errno));
  struct stat status {};
  if (fstat(result.file_, &status) != 0) fail("fstat", errno, 0);
  if (!S_ISREG(status.st_mode) || status.st_size < static_cast<off_t>(kHeader))
    throw Error("{} is not the leader's segment: are the ranks in different containers?", path);
  result.mapped_bytes_ = static_cast<std::size_t>(status.st_size);
  result.bytes_ = result.mapped_bytes_ - kHeader;
  result.map(MAP_SHARED);
  Token token{};
  std::memcpy(token.data(), result.mapping_, sizeof token);
  if (to_text(token) != address.substr(0, space))
    throw Error("{} is not the leader's segment: are the ranks in different containers?", path);
  result.data_ = static_cast<std::byte*>(result.mapping_) + kHeader;
  result.address_ = address;
  return result;
}

void NodeSegment::reserve(std::size_t offset, std::size_t bytes) {
  LOCKSTEP_CHECK(file_ >= 0 && offset + bytes <= bytes_, "[{}, {}) of a segment of {} bytes",
                 offset, offset + bytes, bytes_);
  if (bytes == 0) return;
  int error = 0;
  do {
    error = posix_fallocate(file_, static_cast<off_t>(kHeader + offset), static_cast<off_t>(bytes));
  } while (error == EINTR);
  if (error != 0) fail("posix_fallocate", error, bytes);
}

}  // namespace lockstep
