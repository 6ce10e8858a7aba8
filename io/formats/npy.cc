// Magic, version, length of a Python literal padded so that the values start at a multiple of 64.
#include "io/formats/npy.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

#include "kernels/core/small_floats.h"

namespace lockstep {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::uint64_t kVersionEnd = 8;  // magic, major, minor
// Rows that lie close together are read in one piece with what lies between them.
constexpr std::int64_t kLargestGap = 64 << 10, kLargestPiece = 4 << 20;

// The text after 'key': in the header, or nothing.
std::optional<std::string_view> value_of(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = quote + std::string(key) + quote;
    const std::size_t place = header.find(quoted);
    if (place == std::string_view::npos) continue;
    std::string_view rest = header.substr(place + quoted.size());
    const std::size_t colon = rest.find_first_not_of(' ');
    if (colon == std::string_view::npos || rest[colon] != ':') continue;
    rest.remove_prefix(colon + 1);
    const std::size_t start = rest.find_first_not_of(' ');
    return start == std::string_view::npos ? std::string_view() : rest.substr(start);
  }
  return std::nullopt;
}

// "(3, 4)" or "(3,)" or "()"; nothing where it is none of them.
std::optional<std::vector<std::int64_t>> parse_shape(std::string_view text) {
  if (text.empty() || text.front() != '(') return std::nullopt;
  const std::size_t close = text.find(')');
  if (close == std::string_view::npos) return std::nullopt;
  text = text.substr(1, close - 1);
  std::vector<std::int64_t> sizes;
  while (true) {
    const std::size_t start = text.find_first_not_of(", ");
    if (start == std::string_view::npos) return sizes;
    std::int64_t size = 0;
    const auto [stop, error] =
        std::from_chars(text.data() + start, text.data() + text.size(), size);
    if (error != std::errc() || size < 0) return std::nullopt;
    sizes.push_back(size);
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    if (!text.empty() && text.front() == 'L') text.remove_prefix(1);  // Python 2's long integers
  }
}

struct Half {
  std::uint16_t bits;
};

template <typename From>
From load(const std::byte* bytes, bool big_endian) {
  std::array<std::byte, sizeof(From)> copy;
  std::memcpy(copy.data(), bytes, sizeof(From));
  if (big_endian != (std::endian::native == std::endian::big))
    std::reverse(copy.begin(), copy.end());
  return std::bit_cast<From>(copy);
}

template <typename From, typename To>
To converted(From value, const std::string& path) {
  if constexpr (std::is_same_v<From, Half>) {
    return static_cast<To>(from_float16(value.bits));
  } else {
    if constexpr (std::is_same_v<From, std::uint64_t> && std::is_same_v<To, std::int64_t>)
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        throw Error("{}: {} is beyond int64; no label or token is so large", path, value);
    return static_cast<To>(value);
  }
}

template <typename From, typename To>
void convert(const std::byte* from, std::int64_t from_step, std::int64_t count, bool big_endian,
             const std::string& path, To* to, std::int64_t to_step) {
  for (std::int64_t i = 0; i < count; ++i)
    to[i * to_step] = converted<From, To>(load<From>(from + i * from_step, big_endian), path);
}

}  // namespace

void write_npy(const std::string& path, const Tensor& host_tensor) {
  const DType type = host_tensor.dtype();
  LOCKSTEP_CHECK(type == DType::kFloat32 || type == DType::kInt64, "npy of {}", name_of(type));
  std::string axes;
  for (const std::int64_t size : host_tensor.shape().sizes()) axes += fmt::format("{},", size);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   type == DType::kFloat32 ? "<f4" : "<i8", axes);
  constexpr std::size_t kPrefix = 10, kAlign = 64;
  header.resize((kPrefix + header.size() + kAlign) / kAlign * kAlign - kPrefix - 1, ' ');
  header += '\n';

  FileWriter file(path);
  file.write(kMagic);
  const char version_and_length[4] = {1, 0, static_cast<char>(header.size() & 0xFF),
                                      static_cast<char>(header.size() >> 8)};
  file.write(std::string_view(version_and_length, 4));
  file.write(header);
  file.write(std::span<const std::byte>(host_tensor.raw(), host_tensor.bytes()));
  file.commit();
}

NpyReader::NpyReader(const std::string& path) : file_(path) {
  std::array<std::byte, 12> start{};
  const std::uint64_t there = std::min<std::uint64_t>(file_.size(), start.size());
  file_.read_at(0, std::span(start).first(there));
  if (there < start.size() || std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0)
    throw Error(
        "{}: this is no .npy file; numpy.save writes one (an .npz holds several: save each)", path);
  const int major = std::to_integer<int>(start[6]), minor = std::to_integer<int>(start[7]);
  if (major < 1 || major > 3 || minor != 0)
    throw Error("{}: .npy version {}.{}, where 1.0, 2.0 and 3.0 are known", path, major, minor);
  const std::uint64_t length = major == 1 ? load<std::uint16_t>(&start[kVersionEnd], false)
                                          : load<std::uint32_t>(&start[kVersionEnd], false);
  const std::uint64_t header_begin = kVersionEnd + (major == 1 ? 2 : 4);
  begin_ = header_begin + length;
  if (begin_ > file_.size())
    throw Error("{}: truncated: a header of {} bytes is promised in a file of {}", path, length,
                file_.size());
  std::string header(length, ' ');
  file_.read_at(header_begin, std::as_writable_bytes(std::span(header)));
  parse_header(header);
}

void NpyReader::parse_header(const std::string& header) {
  const auto descr = value_of(header, "descr"), order = value_of(header, "fortran_order"),
             shape = value_of(header, "shape");
  if (!descr || !order || !shape || descr->size() < 3)
    throw Error("{}: the .npy header lacks descr, fortran_order or shape: {}", path(), header);
  const char quote = descr->front();
  const std::size_t close = descr->find(quote, 1);
  if ((quote != '\'' && quote != '"') || close == std::string_view::npos)
    throw Error("{}: structured elements ({}); save one plain array of numbers a file", path(),
                descr->substr(0, 60));
  std::string_view type = descr->substr(1, close - 1);
  if (!type.empty() && std::string_view("<>|=").find(type.front()) != std::string_view::npos) {
    big_endian_ = type.front() == '>';
    type.remove_prefix(1);
  }
  constexpr std::string_view kKnown[] = {"f2", "f4", "f8", "i1", "i2", "i4",
                                         "i8", "u1", "u2", "u4", "u8", "b1"};
  if (std::find(std::begin(kKnown), std::end(kKnown), type) == std::end(kKnown))
    throw Error(
        "{}: elements of type '{}'; integers, bool and floats of 2, 4 or 8 bytes can be read: "
        "save array.astype('float32')",
        path(), descr->substr(1, close - 1));
  kind_ = type[0];
  bytes_ = static_cast<std::size_t>(type[1] - '0');
  fortran_ = order->starts_with("True");
  const auto sizes = parse_shape(*shape);
  if (!sizes || (!fortran_ && !order->starts_with("False")))
    throw Error("{}: the .npy header cannot be read: {}", path(), header);
  sizes_ = *sizes;

  const std::uint64_t stored = file_.size() - begin_;
  // An axis of no elements makes no room for others beyond all bounds.
  std::uint64_t promised = bytes_, bound = bytes_;
  for (const std::int64_t size : sizes_) {
    const auto some = static_cast<std::uint64_t>(std::max<std::int64_t>(size, 1));
    if (bound > std::numeric_limits<std::uint64_t>::max() / 2 / some)
      throw Error("{}: the shape ({}) is too large", path(), fmt::join(sizes_, ", "));
    bound *= some;
    promised *= static_cast<std::uint64_t>(size);
  }
  if (promised != stored)
    throw Error("{}: {} bytes of elements, where {} of shape ({}) are {}{}", path(), stored,
                type_name(), fmt::join(sizes_, ", "), promised,
                stored < promised ? ": the file is truncated" : "");
  for (std::size_t axis = 1; axis < sizes_.size(); ++axis) row_elements_ *= sizes_[axis];
}

std::string NpyReader::type_name() const {
  const char* const kind = kind_ == 'f' ? "float" : kind_ == 'i' ? "int" : "uint";
  if (kind_ == 'b') return "bool";
  return fmt::format("{}{}{}", kind, 8 * bytes_, big_endian_ ? ", big-endian" : "");
}

// In C order a row is one run of elements; in Fortran order each element of a row is the start of a
// run over rows, and `row_places` says where, in rows.
template <typename To>
void NpyReader::read_as(std::span<const std::int64_t> rows, To* out) const {
  const auto width = static_cast<std::int64_t>(bytes_);
  const std::int64_t elements = row_elements_;
  using Convert = void (*)(const std::byte*, std::int64_t, std::int64_t, bool, const std::string&,
                           To*, std::int64_t);
  const Convert run = [&]() -> Convert {
    switch (kind_ * 16 + static_cast<int>(bytes_)) {
      case 'f' * 16 + 2:
        return convert<Half, To>;
      case 'f' * 16 + 4:
        return convert<float, To>;
      case 'f' * 16 + 8:
        return convert<double, To>;
      case 'i' * 16 + 1:
        return convert<std::int8_t, To>;
      case 'i' * 16 + 2:
        return convert<std::int16_t, To>;
      case 'i' * 16 + 4:
        return convert<std::int32_t, To>;
      case 'i' * 16 + 8:
        return convert<std::int64_t, To>;
      case 'u' * 16 + 2:
        return convert<std::uint16_t, To>;
      case 'u' * 16 + 4:
        return convert<std::uint32_t, To>;
      case 'u' * 16 + 8:
        return convert<std::uint64_t, To>;
      default:
        return convert<std::uint8_t, To>;
    }
  }();
  const std::int64_t unit = fortran_ ? width : width * elements;  // bytes from row to row
  std::vector<std::byte> piece;
  std::size_t first = 0;
  while (first < rows.size()) {
    std::size_t last = first + 1;
    while (last < rows.size() && rows[last] > rows[last - 1] &&
           (rows[last] - rows[last - 1] - 1) * unit <= kLargestGap &&
           (rows[last] + 1 - rows[first]) * unit <= kLargestPiece)
      ++last;
    const std::int64_t lowest = rows[first], span = rows[last - 1] + 1 - lowest;
    piece.resize(static_cast<std::size_t>(span * unit));
    const auto at = [&](std::int64_t place) { return begin_ + static_cast<std::uint64_t>(place); };
    if (fortran_) {
      for (std::int64_t c = 0; c < elements; ++c) {
        file_.read_at(at((fortran_place(c) * this->rows() + lowest) * width), piece);
        for (std::size_t i = first; i < last; ++i)
          run(piece.data() + (rows[i] - lowest) * width, width, 1, big_endian_, path(),
              out + static_cast<std::int64_t>(i) * elements + c, 1);
      }
    } else {
      file_.read_at(at(lowest * unit), piece);
      for (std::size_t i = first; i < last; ++i)
        run(piece.data() + (rows[i] - lowest) * unit, width, elements, big_endian_, path(),
            out + static_cast<std::int64_t>(i) * elements, 1);
    }
    first = last;
  }
}

std::int64_t NpyReader::fortran_place(std::int64_t element) const {
  std::int64_t place = 0, stride = row_elements_;
  for (std::size_t axes = sizes_.size(); axes > 1; --axes) {
    const std::int64_t size = sizes_[axes - 1];
    stride /= size;
    place += element % size * stride;
    element /= size;
  }
  return place;
}

void NpyReader::read(std::span<const std::int64_t> rows, DType type, std::byte* out) const {
  for (const std::int64_t row : rows)
    LOCKSTEP_CHECK(0 <= row && row < this->rows(), "row {} of {} rows", row, this->rows());
  switch (type) {
    case DType::kFloat32:
      return read_as(rows, reinterpret_cast<float*>(out));
    case DType::kInt64:
      LOCKSTEP_CHECK(is_integer(), "{}: {} as int64", path(), type_name());
      return read_as(rows, reinterpret_cast<std::int64_t*>(out));
    default:
      LOCKSTEP_CHECK(type == DType::kUInt8 && is_bytes(), "{}: {} as {}", path(), type_name(),
                     name_of(type));
      return read_as(rows, reinterpret_cast<std::uint8_t*>(out));
  }
}

}  // namespace lockstep
