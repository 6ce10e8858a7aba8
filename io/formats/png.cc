#include "io/formats/png.h"

#include <png.h>

#include "io/base/file.h"
#include "io/dataset/dataset.h"

namespace lockstep {

namespace {

png_uint_32 format_of(std::int64_t channels) {
  switch (channels) {
    case 1:
      return PNG_FORMAT_GRAY;
    case 2:
      return PNG_FORMAT_GA;
    case 3:
      return PNG_FORMAT_RGB;
    case 4:
      return PNG_FORMAT_RGBA;
    default:
      throw Error("a PNG has 1 to 4 channels, not {}", channels);
  }
}

// libpng's handle of one image; its functions return 0 on an error and leave its text here.
struct Image {
  Image() { png.version = PNG_IMAGE_VERSION; }
  ~Image() { png_image_free(&png); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  png_image png{};
};

}  // namespace

Tensor read_png(const std::string& path, std::int64_t channels) {
  const std::string bytes = read_text(path);
  Image image;
  if (png_image_begin_read_from_memory(&image.png, bytes.data(), bytes.size()) == 0)
    throw Error("{}: cannot read this as PNG: {}", path, image.png.message);
  image.png.format = format_of(channels);
  // 16-bit files are taken to be sRGB as 8-bit ones are, not linear, unless they say otherwise.
  image.png.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  const Tensor pixels = host_tensor({image.png.height, image.png.width, channels}, DType::kUInt8);
  const png_color black{};
  if (png_image_finish_read(&image.png, &black, pixels.raw(), 0, nullptr) == 0)
    throw Error("{}: damaged PNG: {}", path, image.png.message);
  return pixels;
}

std::string encode_png(const Tensor& image) {
  LOCKSTEP_CHECK(image.shape().rank() == 3 && image.dtype() == DType::kUInt8,
                 "an image is uint8 (H, W, C), not {}", image.shape().to_string());
  Image png;
  png.png.height = static_cast<png_uint_32>(image.shape()[0]);
  png.png.width = static_cast<png_uint_32>(image.shape()[1]);
  png.png.format = format_of(image.shape()[2]);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png.png);
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&png.png, bytes.data(), &size, 0, image.raw(), 0, nullptr) == 0)
    throw Error("cannot encode an image {} as PNG: {}", image.shape().to_string(), png.png.message);
  bytes.resize(size);
  return bytes;
}

void write_png(const std::string& path, const Tensor& image) {
  write_text(path, encode_png(image));
}

}  // namespace lockstep
