// IDX files made by the format's rules, plain and compressed, right and wrong.
#include "io/formats/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "io/base/file.h"
#include "tests/io/h5_files.h"
#include "tests/io/plain_file.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string big_endian(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

std::string images(std::uint32_t count, std::uint32_t side) {
  std::string text = big_endian(0x803) + big_endian(count) + big_endian(side) + big_endian(side);
  for (std::uint32_t i = 0; i < count * side * side; ++i) text += static_cast<char>(i * 7);
  return text;
}

class IdxFiles : public ::testing::Test {
 protected:
  std::string plain(const std::string& text) {
    save_text(folder_.file("plain"), text);
    return folder_.file("plain");
  }
  std::string packed(const std::string& text) {
    const std::string path = folder_.file("packed.gz");
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    return path;
  }
  static std::string error(const std::string& path, int axes) {
    return error_of([&] { read_idx(path, axes); });
  }
  ScratchFolder folder_;
};

TEST_F(IdxFiles, ReadsPlainAndCompressed) {
  for (const std::string& path : {plain(images(5, 3)), packed(images(5, 3))}) {
    const Tensor x = read_idx(path, 3);
    EXPECT_EQ(x.shape(), Shape({5, 3, 3})) << path;
    for (std::size_t i = 0; i < 45; ++i)
      ASSERT_EQ(x.span<std::uint8_t>()[i], static_cast<std::uint8_t>(i * 7));
  }
}

TEST_F(IdxFiles, ReadsNoneAndOne) {
  EXPECT_EQ(read_idx(plain(images(0, 28)), 3).shape(), Shape({0, 28, 28}));
  EXPECT_EQ(read_idx(packed(images(1, 1)), 3).rows(), 1);
}

TEST_F(IdxFiles, NamesBothMagicNumbers) {
  EXPECT_THAT(error(plain(images(2, 2)), 1),
              AllOf(HasSubstr("0x00000803: images"), HasSubstr("0x00000801: labels")));
  EXPECT_THAT(error(plain("hello, world"), 3), HasSubstr("magic number 0x68656c6c"));
}

TEST_F(IdxFiles, NamesBothLengths) {
  const std::string good = images(4, 3);
  EXPECT_THAT(error(plain(good.substr(0, good.size() - 1)), 3),
              AllOf(HasSubstr("holds 35 bytes"), HasSubstr("(4, 3, 3) promises 36")));
  EXPECT_THAT(error(packed(good + "x"), 3),
              AllOf(HasSubstr("holds at least 37 bytes"), HasSubstr("promises 36")));
  EXPECT_THAT(error(plain(good.substr(0, 9)), 3), HasSubstr("truncated inside the IDX header"));
  EXPECT_THAT(error(plain(""), 3), HasSubstr("truncated inside the IDX header"));
}

TEST_F(IdxFiles, RefusesHugeClaimsBeforeAskingForMemory) {
  const std::string claim =
      big_endian(0x803) + big_endian(0xFFFFFFFF) + big_endian(0xFFFFFFFF) + big_endian(0xFFFFFFFF);
  EXPECT_THAT(error(plain(claim + "x"), 3), HasSubstr("more than a file of 17 bytes can hold"));
}

TEST_F(IdxFiles, RefusesDamagedCompression) {
  const std::string path = packed(images(50, 9));
  const std::string whole = read_text(path);
  for (std::size_t bytes : {whole.size() / 2, whole.size() - 6}) {
    save_text(path, whole.substr(0, bytes));
    EXPECT_NE(error(path, 3), "") << bytes;
  }
  std::string flipped = whole;
  flipped[whole.size() - 7] = static_cast<char>(flipped[whole.size() - 7] ^ 1);  // CRC-32
  save_text(path, flipped);
  EXPECT_THAT(error(path, 3), HasSubstr("damaged or truncated gzip"));
  EXPECT_THAT(error(folder_.file("absent"), 3), HasSubstr("cannot open"));
}

}  // namespace
}  // namespace lockstep
