// The content hash: published answers of XXH64, and independence of how the bytes are cut.
#include "io/base/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace lockstep {
namespace {

// The sanity buffer and answers of xxHash's own self test (xxhsum -b, XSUM_sanityCheck).
std::vector<std::byte> sanity_buffer(std::size_t bytes) {
  std::vector<std::byte> buffer(bytes);
  std::uint64_t generator = 2654435761u;
  for (std::byte& value : buffer) {
    value = static_cast<std::byte>(generator >> 56);
    generator *= 11400714785074694797u;
  }
  return buffer;
}

TEST(Checksum, PublishedAnswers) {
  const std::vector<std::byte> buffer = sanity_buffer(222);
  constexpr std::uint64_t kSeed = 2654435761u;
  EXPECT_EQ(checksum(buffer.data(), 0), 0xEF46DB3751D8E999u);
  EXPECT_EQ(checksum(buffer.data(), 0, kSeed), 0xAC75FDA2929B17EFu);
  EXPECT_EQ(checksum(buffer.data(), 1), 0xE934A84ADB052768u);
  EXPECT_EQ(checksum(buffer.data(), 1, kSeed), 0x5014607643A9B4C3u);
  EXPECT_EQ(checksum(buffer.data(), 4), 0x9136A0DCA57457EEu);
  EXPECT_EQ(checksum(buffer.data(), 14), 0x8282DCC4994E35C8u);
  EXPECT_EQ(checksum(buffer.data(), 14, kSeed), 0xC3BD6BF63DEB6DF0u);
  EXPECT_EQ(checksum(buffer.data(), 222), 0xB641AE8CB691C174u);
  EXPECT_EQ(checksum(buffer.data(), 222, kSeed), 0x20CB8AB7AE10C14Au);
  EXPECT_EQ(checksum("abc"), 0x44BC2CF5AD770999u);
}

TEST(Checksum, PiecesDoNotMatter) {
  const std::vector<std::byte> buffer = sanity_buffer(5000);
  const std::uint64_t whole = checksum(buffer.data(), buffer.size());
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int trial = 0; trial < 50; ++trial) {
    Checksum sum;
    std::size_t at = 0;
    while (at < buffer.size()) {
      const std::size_t piece = std::min<std::size_t>(random() % 100, buffer.size() - at);
      sum.update(buffer.data() + at, piece);
      at += piece;
    }
    EXPECT_EQ(sum.value(), whole);
  }
}

TEST(Checksum, EveryByteCounts) {
  std::vector<std::byte> buffer = sanity_buffer(77);
  const std::uint64_t before = checksum(buffer.data(), buffer.size());
  for (std::byte& value : buffer) {
    value ^= std::byte{0x10};
    EXPECT_NE(checksum(buffer.data(), buffer.size()), before);
    value ^= std::byte{0x10};
  }
}

TEST(Checksum, TextHasSixteenDigits) {
  EXPECT_EQ(checksum_text(0xAB), "00000000000000ab");
}

}  // namespace
}  // namespace lockstep
