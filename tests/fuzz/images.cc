// Fuzz target: JPEG and PNG files, decoded in their own size and fitted. The first byte chooses the
// channels, and whether large JPEGs are decoded at a fraction of their size.
#include "io/images/decode.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  if (size == 0) return 0;
  constexpr std::int64_t kFuzzedPixels = 1 << 18;  // so that a search stays fast
  const FitOptions fit{
      .shorter = 9, .size = 8, .channels = (data[0] & 1) != 0 ? 3 : 1, .fast = (data[0] & 2) != 0};
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  ImageDecoder decoder;
  fuzz::accepted([&] {
    EncodedImage image(bytes, "image", kFuzzedPixels);
    decoder.decode(image, 4);
  });
  fuzz::accepted([&] {
    EncodedImage image(bytes, "image", kFuzzedPixels);
    std::uint8_t pixels[8 * 8 * 3];
    decoder.decode_fitted(image, fit, pixels);
  });
  return 0;
}
