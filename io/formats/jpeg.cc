// libjpeg reports an error by a function that must not return: it jumps back to guarded(), over
// frames of C and over lambdas that own nothing, and guarded() throws.
#include "io/formats/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

// After <cstdio>, which it needs and does not include; jerror.h needs it in turn.
#include <jpeglib.h>

#include <jerror.h>

#include "io/images/orientation.h"
#include "kernels/core/error.h"

namespace lockstep {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;
// A small file may describe a large image again and again: progressive scans are bounded.
constexpr int kMostScans = 200;

struct ErrorState {
  jpeg_error_mgr manager;  // first: libjpeg hands its address back
  std::jmp_buf jump;
  bool ended = false;    // the file's bytes ran out
  bool damaged = false;  // pixels are missing or wrong
  char text[JMSG_LENGTH_MAX] = "";
};

ErrorState& state_of(j_common_ptr info) {
  return *reinterpret_cast<ErrorState*>(info->err);
}

[[noreturn]] void on_error(j_common_ptr info) {
  ErrorState& error = state_of(info);
  error.manager.format_message(info, error.text);
  std::longjmp(error.jump, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // traces; warnings are below 0
  ErrorState& error = state_of(info);
  switch (error.manager.msg_code) {
    case JWRN_JPEG_EOF:
      error.ended = true;
      return;
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      if (!error.damaged) error.manager.format_message(info, error.text);
      error.damaged = true;
      return;
    default:  // bytes between markers that nobody reads, odd version numbers
      return;
  }
}

void ignore_output(j_common_ptr) {}

void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (decompress->input_scan_number <= kMostScans) return;
  ErrorState& error = state_of(info);
  std::snprintf(error.text, sizeof error.text, "more than %d scans", kMostScans);
  std::longjmp(error.jump, 1);
}

// Adobe stores ink inverted. As Pillow converts it: light = 255 - k, minus its share c / 255.
void cmyk_to_rgb(const std::uint8_t* from, std::int64_t width, std::uint8_t* to) {
  for (std::int64_t x = 0; x < width; ++x, from += 4, to += 3)
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * from[3] + 128;
      to[c] = static_cast<std::uint8_t>(from[3] - ((product >> 8) + product) / 256);
    }
}

}  // namespace

struct JpegReader::State {
  jpeg_decompress_struct info{};
  ErrorState error;
  jpeg_progress_mgr progress{};
  std::string name;
  JpegHeader header;
  std::vector<std::uint8_t> line;  // a row of CMYK, or one that nobody looks at

  // `call` may be left by a jump: it must not own anything.
  template <typename Call>
  void guarded(const char* what, const Call& call) {
    if (setjmp(error.jump) != 0) throw Error("{}: {}: {}", name, what, error.text);
    call();
  }
  void read_header(std::span<const std::byte> bytes);
  JDIMENSION rows_left() const { return info.output_height - info.output_scanline; }
  void read_rows(Image& to);
  void skip_to_end();
};

void JpegReader::State::read_header(std::span<const std::byte> bytes) {
  info.err = jpeg_std_error(&error.manager);
  error.manager.error_exit = on_error;
  error.manager.emit_message = on_message;
  error.manager.output_message = ignore_output;
  guarded("cannot read this as JPEG", [&] {
    jpeg_create_decompress(&info);
    progress.progress_monitor = on_progress;
    info.progress = &progress;
    jpeg_save_markers(&info, kExifMarker, 0xFFFF);
    jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()),
                 static_cast<unsigned long>(bytes.size()));
    jpeg_read_header(&info, TRUE);
  });
  header.height = info.image_height;
  header.width = info.image_width;
  header.channels = info.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
  header.progressive = info.progressive_mode != 0;
  constexpr std::size_t kPrefix = 6;
  for (auto* marker = info.marker_list; marker != nullptr; marker = marker->next)
    if (marker->marker == kExifMarker && marker->data_length > kPrefix &&
        std::memcmp(marker->data, "Exif\0", kPrefix) == 0) {
      header.orientation = exif_orientation(
          std::as_bytes(std::span(marker->data, marker->data_length)).subspan(kPrefix));
      break;
    }
}

void JpegReader::State::read_rows(Image& to) {
  const bool has_ink = info.out_color_space == JCS_CMYK;
  for (std::int64_t y = 0; y < to.height(); ++y) {
    JSAMPROW rows[] = {has_ink ? line.data() : to.row(y)};
    jpeg_read_scanlines(&info, rows, 1);
    if (has_ink) cmyk_to_rgb(line.data(), to.width(), to.row(y));
  }
}

// Skipping the last row would skip the rest of the file, and damage in it.
void JpegReader::State::skip_to_end() {
  if (rows_left() > 1) jpeg_skip_scanlines(&info, rows_left() - 1);
  JSAMPROW rows[] = {line.data()};
  if (rows_left() > 0) jpeg_read_scanlines(&info, rows, 1);
}

JpegReader::JpegReader(std::span<const std::byte> bytes, std::string name)
    : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  try {
    state_->read_header(bytes);
  } catch (...) {
    jpeg_destroy_decompress(&state_->info);
    throw;
  }
}

JpegReader::~JpegReader() {
  jpeg_destroy_decompress(&state_->info);
}

const JpegHeader& JpegReader::header() const {
  return state_->header;
}

std::size_t JpegReader::working_bytes() const {
  if (!state_->header.progressive) return 0;
  const auto pixels = static_cast<std::size_t>(state_->header.height * state_->header.width);
  return pixels * static_cast<std::size_t>(state_->info.num_components) * sizeof(JCOEF);
}

void JpegReader::decode(std::int64_t channels, int shrink, Image& to) {
  const JpegHeader& header = state_->header;
  decode_part(channels, shrink, {0, header.height}, {0, header.width}, to);
}

PartOf JpegReader::decode_part(std::int64_t channels, int shrink, Places rows, Places columns,
                               Image& to) {
  // The pixels beside a cut are not those of the whole image: colours are interpolated.
  constexpr std::int64_t kMargin = 16;
  constexpr const char* kDamaged = "damaged JPEG";
  State& state = *state_;
  jpeg_decompress_struct& info = state.info;
  if (info.jpeg_color_space == JCS_UNKNOWN)
    throw Error("{}: a JPEG of {} components is neither grey nor coloured", state.name,
                info.num_components);
  const bool has_ink = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  LOCKSTEP_CHECK(channels == 3 || (channels == 1 && state.header.channels == 1),
                 "{} channels of a JPEG of {}", channels, state.header.channels);
  info.out_color_space = has_ink ? JCS_CMYK : channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(shrink);
  JDIMENSION top = 0, bottom = 0, left = 0, width = 0;
  PartOf part;
  state.guarded(kDamaged, [&] {
    jpeg_start_decompress(&info);
    part = {info.output_height, info.output_width, 0, 0};
    const auto begin = [](Places places) {
      return static_cast<JDIMENSION>(std::max<std::int64_t>(places.begin - kMargin, 0));
    };
    const auto end = [](Places places, std::int64_t size) {
      return static_cast<JDIMENSION>(std::min(places.end + kMargin, size));
    };
    top = begin(rows);
    bottom = end(rows, part.height);
    left = begin(columns);
    width = end(columns, part.width) - left;
    if (width < info.output_width) jpeg_crop_scanline(&info, &left, &width);
  });
  part.top = top;
  part.left = left;
  to.reset(bottom - top, width, channels);
  state.line.resize(std::size_t{width} * 4);
  state.guarded(kDamaged, [&] {
    if (top > 0) jpeg_skip_scanlines(&info, top);
    state.read_rows(to);
    state.skip_to_end();
    if (!state.header.progressive) return;  // these are read to their end before the first row
    jpeg_finish_decompress(&info);
  });
  if (state.error.ended && (state.error.damaged || state.header.progressive))
    throw Error("{}: {}: it is truncated", state.name, kDamaged);
  if (state.error.damaged) throw Error("{}: {}: {}", state.name, kDamaged, state.error.text);
  return part;
}

}  // namespace lockstep
