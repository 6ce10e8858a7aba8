// libpng reports an error by a function that must not return: it jumps back to guarded(), over
// frames of C and over lambdas that own nothing, and guarded() throws.
#include "io/formats/png.h"

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <utility>
#include <vector>

#include "io/base/file.h"
#include "io/images/orientation.h"
#include "kernels/core/error.h"

namespace lockstep {

struct PngReader::State {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> rest;  // of the file, not read yet
  std::string name;
  std::jmp_buf jump;
  char text[256] = "";
  PngHeader header;
  std::vector<png_bytep> rows;

  ~State() { png_destroy_read_struct(&png, &info, nullptr); }

  [[noreturn]] static void on_error(png_structp png, png_const_charp text) {
    auto& state = *static_cast<State*>(png_get_error_ptr(png));
    std::strncpy(state.text, text, sizeof state.text - 1);
    std::longjmp(state.jump, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void on_read(png_structp png, png_bytep to, std::size_t count) {
    auto& state = *static_cast<State*>(png_get_io_ptr(png));
    if (count > state.rest.size()) on_error(png, "it ends before its end marker");
    std::memcpy(to, state.rest.data(), count);
    state.rest = state.rest.subspan(count);
  }

  // `call` may be left by a jump: it must not own anything.
  template <typename Call>
  void guarded(const char* what, const Call& call) {
    if (setjmp(jump) != 0) throw Error("{}: {}: {}", name, what, text);
    call();
  }
};

PngReader::PngReader(std::span<const std::byte> bytes, std::string name)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.name = std::move(name);
  state.rest = bytes;
  PngHeader& header = state.header;
  state.guarded("cannot read this as PNG", [&] {
    state.png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, State::on_error, State::on_warning);
    if (state.png != nullptr) state.info = png_create_info_struct(state.png);
  });
  if (state.info == nullptr) throw Error("{}: no memory to read it", state.name);
  state.guarded("cannot read this as PNG", [&] {
    png_set_read_fn(state.png, &state, State::on_read);
    png_read_info(state.png, state.info);
    header.height = png_get_image_height(state.png, state.info);
    header.width = png_get_image_width(state.png, state.info);
    png_set_expand(state.png);
    png_set_scale_16(state.png);
    const int type = png_get_color_type(state.png, state.info);
    const bool opacity = (type & PNG_COLOR_MASK_ALPHA) != 0 ||
                         png_get_valid(state.png, state.info, PNG_INFO_tRNS) != 0;
    header.channels = ((type & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1) + (opacity ? 1 : 0);
    png_uint_32 exif_bytes = 0;
    png_bytep exif = nullptr;
    if (png_get_eXIf_1(state.png, state.info, &exif_bytes, &exif) != 0)
      header.orientation = exif_orientation(std::as_bytes(std::span(exif, exif_bytes)));
  });
}

PngReader::~PngReader() = default;

const PngHeader& PngReader::header() const {
  return state_->header;
}

void PngReader::decode(Image& to) {
  State& state = *state_;
  const PngHeader& header = state.header;
  to.reset(header.height, header.width, header.channels);
  state.rows.resize(static_cast<std::size_t>(header.height));
  for (std::int64_t y = 0; y < header.height; ++y)
    state.rows[static_cast<std::size_t>(y)] = to.row(y);
  state.guarded("damaged PNG", [&] {
    png_set_interlace_handling(state.png);
    png_read_update_info(state.png, state.info);
    if (png_get_rowbytes(state.png, state.info) != static_cast<std::size_t>(to.row_bytes()))
      png_error(state.png, "rows of another length than the header's");
    png_read_image(state.png, state.rows.data());
    png_read_end(state.png, nullptr);
  });
}

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
struct EncodedImage {
  EncodedImage() { png.version = PNG_IMAGE_VERSION; }
  ~EncodedImage() { png_image_free(&png); }
  EncodedImage(const EncodedImage&) = delete;
  EncodedImage& operator=(const EncodedImage&) = delete;

  png_image png{};
};

}  // namespace

std::string encode_png(const Tensor& image) {
  LOCKSTEP_CHECK(image.shape().rank() == 3 && image.dtype() == DType::kUInt8,
                 "an image is uint8 (H, W, C), not {}", image.shape().to_string());
  EncodedImage png;
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
