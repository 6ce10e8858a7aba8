// PNG images through libpng: every number of channels comes back, and becomes another.
#include "io/formats/png.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "io/base/file.h"
#include "io/dataset/dataset.h"
#include "io/images/decode.h"

namespace lockstep {
namespace {

Tensor pattern(std::int64_t channels) {
  const Tensor image = host_tensor({5, 7, channels}, DType::kUInt8);
  for (std::int64_t i = 0; i < image.elements(); ++i)
    image.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(i * 37 + 11);
  return image;
}

TEST(Png, RoundTrip) {
  const std::string path = testing::TempDir() + "lockstep-png-test.png";
  for (const std::int64_t channels : {1, 2, 3, 4}) {
    const Tensor image = pattern(channels);
    write_png(path, image);
    const Tensor back = read_image(path, channels);
    ASSERT_EQ(back.shape(), image.shape());
    for (std::int64_t i = 0; i < image.elements(); ++i)
      ASSERT_EQ(back.data<std::uint8_t>()[i], image.data<std::uint8_t>()[i]) << channels;
  }
  write_png(path, pattern(1));
  const Tensor colours = read_image(path, 3);
  for (std::int64_t i = 0; i < colours.elements(); ++i)
    EXPECT_EQ(colours.data<std::uint8_t>()[i], pattern(1).data<std::uint8_t>()[i / 3]);
  std::filesystem::remove(path);
}

TEST(Png, DamagedFiles) {
  const std::string path = testing::TempDir() + "lockstep-png-damaged.png";
  const std::string whole = encode_png(pattern(3));
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, whole.size() / 2}) {
    write_text(path, whole.substr(0, length));
    EXPECT_THROW(read_image(path, 3), Error) << length;
  }
  std::filesystem::remove(path);
  EXPECT_THROW(read_image(path, 3), Error);
}

}  // namespace
}  // namespace lockstep
