// A 64-bit hash of contents: datasets, checkpoints, configs, parameters. It finds damage and
// difference; it is no defence against forgery. The algorithm is XXH64 of Yann Collet
// (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), so that other programs can
// check our files; it has the same value on any machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lockstep {

// Streaming form: the result depends on the bytes alone, not on how they were cut into pieces.
class Checksum {
 public:
  explicit Checksum(std::uint64_t seed = 0);

  void update(const void* data, std::size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  void update(std::span<const std::byte> data) { update(data.data(), data.size()); }
  // Of everything so far; more may follow.
  std::uint64_t value() const;

 private:
  static constexpr std::size_t kBlock = 32;

  std::uint64_t seed_;
  std::array<std::uint64_t, 4> lanes_;
  std::array<std::byte, kBlock> rest_;  // bytes that do not yet fill a block
  std::size_t rest_bytes_ = 0;
  std::uint64_t total_ = 0;
};

std::uint64_t checksum(const void* data, std::size_t bytes, std::uint64_t seed = 0);
inline std::uint64_t checksum(std::string_view text) {
  return checksum(text.data(), text.size());
}

// 16 hexadecimal digits, as files and messages show it.
std::string checksum_text(std::uint64_t value);

}  // namespace lockstep
