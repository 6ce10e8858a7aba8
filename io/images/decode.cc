#include "io/images/decode.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "io/base/file.h"
#include "io/dataset/dataset.h"
#include "io/images/convert.h"
#include "io/images/orientation.h"
#include "kernels/core/error.h"

namespace lockstep {
namespace {

using namespace std::string_view_literals;

struct Beginning {
  std::string_view name, bytes;
  std::size_t offset = 0;
};
constexpr Beginning kBeginnings[] = {
    {"JPEG", "\xFF\xD8\xFF"sv},
    {"PNG", "\x89PNG\r\n\x1A\n"sv},
    {"GIF", "GIF8"sv},
    {"WebP", "WEBP"sv, 8},
    {"TIFF", "II*\0"sv},
    {"TIFF", "MM\0*"sv},
    {"BMP", "BM"sv},
    {"HEIC or AVIF", "ftyp"sv, 4},
    {"PDF", "%PDF"sv},
    {"JPEG XL", "\xFF\x0A"sv},
    {"a ZIP archive", "PK\3\4"sv},
    {"a gzip archive", "\x1F\x8B"sv},
    {"JPEG 2000", "\0\0\0\x0CjP"sv},
    {"HTML", "<!DOCTYPE"sv},
    {"HTML", "<html"sv},
};

// The largest division of both sides after which `shorter` is wanted of at least twice as much.
int shrink_of(std::int64_t height, std::int64_t width, std::int64_t shorter) {
  int shrink = 1;
  while (shrink < 8 && std::min(height, width) / (shrink * 2) >= 2 * shorter) shrink *= 2;
  return shrink;
}

}  // namespace

std::string content_name(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Beginning& beginning : kBeginnings)
    if (text.size() > beginning.offset &&
        text.substr(beginning.offset).starts_with(beginning.bytes))
      return std::string(beginning.name);
  return "";
}

ImageKind image_kind(std::span<const std::byte> bytes) {
  const std::string name = content_name(bytes);
  return name == "JPEG" ? ImageKind::kJpeg : name == "PNG" ? ImageKind::kPng : ImageKind::kNone;
}

std::string to_json(const FitOptions& fit) {
  return nlohmann::ordered_json{{"image",
                                 {{"resize", fit.shorter},
                                  {"size", fit.size},
                                  {"channels", fit.channels},
                                  {"fast", fit.fast}}}}
      .dump();
}

std::optional<FitOptions> fit_from_json(const std::string& text) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("image")) return std::nullopt;
  try {
    const auto& image = json["image"];
    FitOptions fit;
    image.at("resize").get_to(fit.shorter);
    image.at("size").get_to(fit.size);
    image.at("channels").get_to(fit.channels);
    image.at("fast").get_to(fit.fast);
    return fit;
  } catch (const nlohmann::ordered_json::exception& error) {
    throw Error("the description of the images is damaged: {}", error.what());
  }
}

EncodedImage::EncodedImage(std::span<const std::byte> bytes, const std::string& name,
                           std::int64_t max_pixels) {
  if (bytes.empty()) throw Error("{}: the file is empty", name);
  const auto take = [&](const auto& header) {
    height_ = header.height;
    width_ = header.width;
    channels_ = header.channels;
    orientation_ = header.orientation;
  };
  switch (image_kind(bytes)) {
    case ImageKind::kJpeg:
      jpeg_ = std::make_unique<JpegReader>(bytes, name);
      take(jpeg_->header());
      break;
    case ImageKind::kPng:
      png_ = std::make_unique<PngReader>(bytes, name);
      take(png_->header());
      break;
    case ImageKind::kNone: {
      const std::string content = content_name(bytes);
      throw Error("{}: {}; JPEG and PNG are read", name,
                  content.empty() ? "its contents are no image" : "its contents are " + content);
    }
  }
  if (height_ < 1 || width_ < 1 || height_ > max_pixels / width_)
    throw Error("{}: its header claims {} x {} pixels, more than the limit of {}", name, width_,
                height_, max_pixels);
}

std::size_t EncodedImage::working_bytes(std::int64_t channels) const {
  const auto pixels = static_cast<std::size_t>(height_ * width_);
  std::size_t bytes = pixels * static_cast<std::size_t>(channels_);
  if (orientation_ != 1) bytes *= 2;
  if (channels != channels_) bytes += pixels * static_cast<std::size_t>(channels);
  return bytes + (jpeg_ ? jpeg_->working_bytes() : 0);
}

const Image& ImageDecoder::finished(const Image& stored, int orientation, std::int64_t channels) {
  const Image* image = &stored;
  if (orientation != 1) {
    make_upright(image->view(), orientation, turned_);
    image = &turned_;
  }
  if (image->channels() != channels) {
    convert_channels(image->view(), channels, converted_);
    image = &converted_;
  }
  return *image;
}

const Image& ImageDecoder::decode(EncodedImage& image, std::int64_t channels) {
  if (image.jpeg_)
    image.jpeg_->decode(image.channels_, 1, stored_);
  else
    image.png_->decode(stored_);
  return finished(stored_, image.orientation_, channels);
}

void ImageDecoder::decode_fitted(EncodedImage& image, const FitOptions& fit, std::uint8_t* to) {
  if (!image.jpeg_) {
    const ImageView whole = decode(image, fit.channels).view();
    resizer_.resize(
        whole,
        ResizePlan::shorter_side_and_centre(whole.height, whole.width, fit.shorter, fit.size), to);
    return;
  }
  const int shrink = fit.fast ? shrink_of(image.height_, image.width_, fit.shorter) : 1;
  // libjpeg makes grey images RGB as it goes.
  const std::int64_t channels = fit.channels == 3 ? 3 : image.channels_;
  const std::int64_t height = (image.height_ + shrink - 1) / shrink;
  const std::int64_t width = (image.width_ + shrink - 1) / shrink;
  if (image.orientation_ != 1) {
    image.jpeg_->decode(channels, shrink, stored_);
    const ImageView whole = finished(stored_, image.orientation_, fit.channels).view();
    resizer_.resize(
        whole,
        ResizePlan::shorter_side_and_centre(whole.height, whole.width, fit.shorter, fit.size), to);
    return;
  }
  const ResizePlan plan = ResizePlan::shorter_side_and_centre(height, width, fit.shorter, fit.size);
  const PartOf part = image.jpeg_->decode_part(channels, shrink, resizer_.rows(height, plan),
                                               resizer_.columns(width, plan), stored_);
  resizer_.resize_part(finished(stored_, 1, fit.channels).view(), part, plan, to);
}

Tensor read_image(const std::string& path, std::int64_t channels) {
  const std::string bytes = read_text(path);
  EncodedImage encoded(std::as_bytes(std::span(bytes)), path);
  ImageDecoder decoder;
  const Image& image = decoder.decode(encoded, channels);
  const Tensor pixels = host_tensor({image.height(), image.width(), channels}, DType::kUInt8);
  std::memcpy(pixels.raw(), image.row(0), image.bytes());
  return pixels;
}

Tensor read_image(const std::string& path, const FitOptions& fit) {
  const std::string bytes = read_text(path);
  EncodedImage encoded(std::as_bytes(std::span(bytes)), path);
  const Tensor pixels = host_tensor({fit.size, fit.size, fit.channels}, DType::kUInt8);
  ImageDecoder().decode_fitted(encoded, fit, pixels.data<std::uint8_t>());
  return pixels;
}

}  // namespace lockstep
