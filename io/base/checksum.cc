#include "io/base/checksum.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace lockstep {

namespace {

constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr std::uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr std::uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr std::uint64_t kPrime5 = 0x27D4EB2F165667C5;

// Words are little-endian by definition; so is every machine that this project runs on.
static_assert(std::endian::native == std::endian::little);

template <typename Word>
std::uint64_t load(const std::byte* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

std::uint64_t round(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

// Whole blocks of four words, one word a lane; the lanes hide each other's latency.
const std::byte* consume(const std::byte* from, const std::byte* end,
                         std::array<std::uint64_t, 4>& lanes) {
  std::array<std::uint64_t, 4> local = lanes;  // in registers
  for (; end - from >= 32; from += 32) {
    local[0] = round(local[0], load<std::uint64_t>(from));
    local[1] = round(local[1], load<std::uint64_t>(from + 8));
    local[2] = round(local[2], load<std::uint64_t>(from + 16));
    local[3] = round(local[3], load<std::uint64_t>(from + 24));
  }
  lanes = local;
  return from;
}

std::uint64_t avalanche(std::uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace

Checksum::Checksum(std::uint64_t seed)
    : seed_(seed), lanes_{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1} {}

void Checksum::update(const void* data, std::size_t bytes) {
  if (bytes == 0) return;
  const auto* from = static_cast<const std::byte*>(data);
  const std::byte* end = from + bytes;
  total_ += bytes;
  if (rest_bytes_ > 0) {
    const std::size_t part = std::min(bytes, kBlock - rest_bytes_);
    std::memcpy(rest_.data() + rest_bytes_, from, part);
    rest_bytes_ += part;
    from += part;
    if (rest_bytes_ < kBlock) return;
    consume(rest_.data(), rest_.data() + kBlock, lanes_);
  }
  from = consume(from, end, lanes_);
  rest_bytes_ = static_cast<std::size_t>(end - from);
  std::memcpy(rest_.data(), from, rest_bytes_);
}

std::uint64_t Checksum::value() const {
  std::uint64_t hash = seed_ + kPrime5;
  if (total_ >= kBlock) {
    hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
           std::rotl(lanes_[3], 18);
    for (std::uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * kPrime1 + kPrime4;
  }
  hash += total_;
  const std::byte* from = rest_.data();
  const std::byte* end = from + rest_bytes_;
  for (; end - from >= 8; from += 8)
    hash = std::rotl(hash ^ round(0, load<std::uint64_t>(from)), 27) * kPrime1 + kPrime4;
  if (end - from >= 4) {
    hash = std::rotl(hash ^ (load<std::uint32_t>(from) * kPrime1), 23) * kPrime2 + kPrime3;
    from += 4;
  }
  for (; from < end; ++from)
    hash = std::rotl(hash ^ (load<std::uint8_t>(from) * kPrime5), 11) * kPrime1;
  return avalanche(hash);
}

std::uint64_t checksum(const void* data, std::size_t bytes, std::uint64_t seed) {
  Checksum sum(seed);
  sum.update(data, bytes);
  return sum.value();
}

std::string checksum_text(std::uint64_t value) {
  return fmt::format("{:016x}", value);
}

}  // namespace lockstep
