// Decoding an image whatever its kind: its contents decide, not its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "io/formats/jpeg.h"
#include "io/formats/png.h"
#include "io/images/image.h"
#include "io/images/resize.h"
#include "kernels/core/tensor.h"

namespace lockstep {

// How a file's bytes begin.
enum class ImageKind { kNone, kJpeg, kPng };
ImageKind image_kind(std::span<const std::byte> bytes);
constexpr std::size_t kKindBytes = 12;  // so many are enough for image_kind and content_name
// "JPEG", "PNG", "GIF", "WebP", ...; "" if the beginning is not known.
std::string content_name(std::span<const std::byte> bytes);

// Larger images are refused before memory is taken: a few bytes may claim to be any size. About
// Pillow's limit.
constexpr std::int64_t kMostPixels = 178'000'000;

// Resize the shorter side, cut out the centre: torchvision's Resize and CenterCrop.
struct FitOptions {
  std::int64_t shorter = 224, size = 224;
  std::int64_t channels = 3;
  // JPEGs are decoded at a half, a quarter or an eighth of their size where twice the wanted size
  // or more is left: faster, and off by up to 8 grey levels.
  bool fast = false;
};
// What a dataset keeps of it, so that other images can be made like its own.
std::string to_json(const FitOptions& fit);
// Nothing where `json` describes other samples than images.
std::optional<FitOptions> fit_from_json(const std::string& json);

// A file whose header was read.
class EncodedImage {
 public:
  // `bytes` is the whole file and must outlive this. Throws Error, naming `name`: no image of a
  // known kind, damaged, more than max_pixels.
  EncodedImage(std::span<const std::byte> bytes, const std::string& name,
               std::int64_t max_pixels = kMostPixels);

  std::int64_t height() const { return height_; }  // as stored; see orientation.h
  std::int64_t width() const { return width_; }
  // Of memory that decoding takes at once, at most.
  std::size_t working_bytes(std::int64_t channels) const;

 private:
  friend class ImageDecoder;
  std::unique_ptr<JpegReader> jpeg_;
  std::unique_ptr<PngReader> png_;
  std::int64_t height_ = 0, width_ = 0, channels_ = 0;
  int orientation_ = 1;
};

// Keeps its memory from one image to the next; one a thread. An EncodedImage can be decoded once.
// Throws Error: damaged, truncated.
class ImageDecoder {
 public:
  // Upright, in its own size, with `channels` channels (1: grey; 3: RGB; 2 and 4: with opacity).
  const Image& decode(EncodedImage& image, std::int64_t channels);
  // Upright and resized; `to` gets size x size x channels bytes.
  void decode_fitted(EncodedImage& image, const FitOptions& fit, std::uint8_t* to);

 private:
  const Image& finished(const Image& stored, int orientation, std::int64_t channels);

  Image stored_, turned_, converted_;
  Resizer resizer_;
};

// A file's image in its own size: uint8 (H, W, channels). Throws Error naming the file: absent, no
// image, damaged, truncated.
Tensor read_image(const std::string& path, std::int64_t channels);
// The same, fitted: uint8 (size, size, channels).
Tensor read_image(const std::string& path, const FitOptions& fit);

}  // namespace lockstep
