// The header is read as untrusted input: every size is checked against the file before memory is
// asked for. As in the format's reference reader, values without a name are an error, too.
#include "io/formats/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "io/dataset/dataset.h"
#include "kernels/core/small_floats.h"

static_assert(std::endian::native == std::endian::little,
              "values are written as they lie in memory");

namespace lockstep {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLargestHeader = 100'000'000;  // the reference reader's limit
constexpr int kDeepest = 8;  // sound ones need 3; showing a deeper one would recurse without bound

constexpr std::array<std::pair<DType, const char*>, 5> kTypes = {{{DType::kFloat32, "F32"},
                                                                  {DType::kBFloat16, "BF16"},
                                                                  {DType::kUInt8, "U8"},
                                                                  {DType::kInt64, "I64"},
                                                                  {DType::kFloat64, "F64"}}};
constexpr const char* kFloat16Code = "F16";  // no type of a Tensor: read as float32

const char* type_code(DType type) {
  for (const auto& [known, code] : kTypes)
    if (known == type) return code;
  throw Error("safetensors has no code for {}", name_of(type));
}

std::optional<DType> type_of_code(const std::string& code) {
  for (const auto& [type, known] : kTypes)
    if (code == known) return type;
  if (code == kFloat16Code) return DType::kFloat32;
  return std::nullopt;
}

// Files that people have instead, by their first bytes. Asked only where these make no sense as a
// header's length: a sound header of 640 bytes begins as a pickle does.
void refuse_other_formats(const std::string& path, std::string_view start) {
  if (start.starts_with("PK\3\4") || start.starts_with("\x80\2"))
    throw Error(
        "{}: a file of torch.save, not safetensors; convert its state dict in Python: "
        "safetensors.torch.save_file(torch.load(\"{}\", weights_only=True), \"FILE.safetensors\")",
        path, path);
  if (start.starts_with("\x89HDF"))
    throw Error("{}: an HDF5 file, where safetensors are expected", path);
}

// nlohmann-json keeps the last of two equal keys in silence; the format forbids them.
OrderedJson parse_header(const std::string& path, const std::string& text) {
  std::set<std::string> names;
  std::string twice;
  bool deep = false;
  const OrderedJson::parser_callback_t watch = [&](int depth, OrderedJson::parse_event_t event,
                                                   OrderedJson& parsed) {
    if (depth == 1 && event == OrderedJson::parse_event_t::key &&
        !names.insert(parsed.get<std::string>()).second)
      twice = parsed.get<std::string>();
    deep = deep || depth > kDeepest;
    return !deep;
  };
  OrderedJson header;
  try {
    header = OrderedJson::parse(text, watch);
  } catch (const OrderedJson::exception& error) {
    throw Error("{}: damaged safetensors header: {}", path, error.what());
  }
  if (deep) throw Error("{}: the safetensors header is nested deeper than {}", path, kDeepest);
  if (!header.is_object()) throw Error("{}: the safetensors header is not a JSON object", path);
  if (!twice.empty()) throw Error("{}: two tensors are named '{}'", path, twice);
  return header;
}

std::uint64_t unsigned_field(const OrderedJson& value, const std::string& where, const char* what) {
  if (!value.is_number_unsigned())
    throw Error("{}: {} holds {}, where a number of 0 or more belongs", where, what, value.dump());
  return value.get<std::uint64_t>();
}

Shape shape_field(const OrderedJson& value, const std::string& where) {
  if (!value.is_array()) throw Error("{}: 'shape' is not a list", where);
  if (value.size() > static_cast<std::size_t>(Shape::kMaxRank))
    throw Error("{}: {} axes; {} are supported", where, value.size(), Shape::kMaxRank);
  std::vector<std::int64_t> sizes;
  std::uint64_t elements = 1;
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max() / 8;
  for (const OrderedJson& axis : value) {
    const std::uint64_t size = unsigned_field(axis, where, "'shape'");
    if (size > kMost || (size != 0 && elements > kMost / size))
      throw Error("{}: shape {} has too many elements", where, value.dump());
    elements *= size;
    sizes.push_back(static_cast<std::int64_t>(size));
  }
  return Shape(sizes);
}

struct Place {
  std::uint64_t begin, end;  // from the start of the values
};

std::pair<SafetensorsReader::Entry, Place> parse_entry(const std::string& where,
                                                       const std::string& name,
                                                       const OrderedJson& value) {
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!value.is_object() || !value.contains(key)) throw Error("{}: no '{}'", where, key);
  const OrderedJson& code = value["dtype"];
  const std::optional<DType> type =
      code.is_string() ? type_of_code(code.get<std::string>()) : std::nullopt;
  if (!type)
    throw Error("{}: type {} is not supported; save it as F32, F16, BF16, F64, I64 or U8", where,
                code.dump());
  const Shape shape = shape_field(value["shape"], where);
  const OrderedJson& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2)
    throw Error("{}: 'data_offsets' is not a pair", where);
  const Place place{unsigned_field(offsets[0], where, "'data_offsets'"),
                    unsigned_field(offsets[1], where, "'data_offsets'")};
  const std::uint64_t size = code == kFloat16Code ? sizeof(std::uint16_t) : size_of(*type);
  const std::uint64_t bytes = static_cast<std::uint64_t>(shape.elements()) * size;
  if (place.end < place.begin || place.end - place.begin != bytes)
    throw Error("{}: data_offsets {}, but {} {} takes {} bytes", where, offsets.dump(),
                code.get<std::string>(), shape.to_string(), bytes);
  return {{name, *type, shape, 0, code.get<std::string>()}, place};
}

}  // namespace

void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t end = 0;
  for (const auto& [name, tensor] : tensors) {
    LOCKSTEP_CHECK(!header.contains(name), "{}: two tensors are named '{}'", path, name);
    const std::uint64_t begin = end;
    end += tensor.bytes();
    const auto sizes = tensor.shape().sizes();
    header[name] = {{"dtype", type_code(tensor.dtype())},
                    {"shape", std::vector<std::int64_t>(sizes.begin(), sizes.end())},
                    {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');

  FileWriter file(path);
  const std::uint64_t length = text.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  for (const auto& [name, tensor] : tensors)
    file.write(std::span<const std::byte>(tensor.raw(), tensor.bytes()));
  file.commit();
}

SafetensorsReader::SafetensorsReader(const std::string& path) : file_(path) {
  if (file_.size() < kLengthBytes)
    throw Error("{}: {} bytes are too few for a safetensors file", path, file_.size());
  std::uint64_t length = 0;
  file_.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kLargestHeader || length > file_.size() - kLengthBytes) {
    refuse_other_formats(path, {reinterpret_cast<const char*>(&length), sizeof length});
    throw Error(
        "{}: truncated or not a safetensors file: its header claims {} bytes, the file has {}",
        path, length, file_.size());
  }
  std::string text(length, '\0');
  file_.read_at(kLengthBytes, std::as_writable_bytes(std::span(text)));
  const OrderedJson header = parse_header(path, text);

  std::vector<std::pair<Entry, Place>> found;
  for (const auto& [name, value] : header.items()) {
    const std::string where = fmt::format("{}: tensor '{}'", path, name);
    if (name != "__metadata__") {
      found.push_back(parse_entry(where, name, value));
      continue;
    }
    if (!value.is_object()) throw Error("{}: __metadata__ is not a JSON object", path);
    for (const auto& [key, entry] : value.items()) {
      if (!entry.is_string()) throw Error("{}: __metadata__ '{}' is not a string", path, key);
      metadata_[key] = entry.get<std::string>();
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.begin, a.second.end) < std::pair(b.second.begin, b.second.end);
  });
  const std::uint64_t values = kLengthBytes + length;
  std::uint64_t covered = 0;
  for (auto& [entry, place] : found) {
    if (place.begin != covered)
      throw Error("{}: tensor '{}' starts at {} of the values, where {} belongs: tensors {}", path,
                  entry.name, place.begin, covered,
                  place.begin < covered ? "overlap" : "leave a gap");
    covered = place.end;
    if (covered > file_.size() - values)
      throw Error("{}: truncated: tensor '{}' ends at byte {}, the file at byte {}", path,
                  entry.name, values + covered, file_.size());
    entry.offset = values + place.begin;
    entries_.push_back(std::move(entry));
  }
  if (covered != file_.size() - values)
    throw Error("{}: {} bytes follow the last tensor", path, file_.size() - values - covered);
}

const SafetensorsReader::Entry* SafetensorsReader::find(const std::string& name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

Tensor SafetensorsReader::read(const Entry& entry) const {
  Tensor tensor = host_tensor(entry.shape, entry.type);
  if (entry.code == kFloat16Code) {
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(tensor.elements()));
    file_.read_at(entry.offset, std::as_writable_bytes(std::span(halves)));
    std::ranges::transform(halves, tensor.data<float>(), from_float16);
  } else {
    file_.read_at(entry.offset, std::span(tensor.raw(), tensor.bytes()));
  }
  return tensor;
}

}  // namespace lockstep
