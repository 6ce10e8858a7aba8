#include "io/hdf5/hdf5_types.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

namespace lockstep::hdf5::detail {

namespace {

bool is_half(const Handle& type) {  // IEEE 754 binary16, for which the library has no name
  std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
  return H5Tget_size(*type) == 2 &&
         H5Tget_fields(*type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) >= 0 &&
         sign == 15 && exponent == 10 && exponent_bits == 5 && mantissa == 0 &&
         mantissa_bits == 10 && H5Tget_ebias(*type) == 15 && H5Tget_norm(*type) == H5T_NORM_IMPLIED;
}

bool is_standard(const Handle& type) {
  const std::array<hid_t, 20> standard = {
      H5T_STD_I8LE,  H5T_STD_I8BE,   H5T_STD_I16LE,  H5T_STD_I16BE,  H5T_STD_I32LE,
      H5T_STD_I32BE, H5T_STD_I64LE,  H5T_STD_I64BE,  H5T_STD_U8LE,   H5T_STD_U8BE,
      H5T_STD_U16LE, H5T_STD_U16BE,  H5T_STD_U32LE,  H5T_STD_U32BE,  H5T_STD_U64LE,
      H5T_STD_U64BE, H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE};
  return std::any_of(standard.begin(), standard.end(),
                     [&](hid_t known) { return H5Tequal(*type, known) > 0; });
}

std::string byte_order_name(const ElementType& type) {
  return type.bytes > 1 && type.is_big_endian ? ", big-endian" : "";
}

Filter read_filter(const Handle& creation, unsigned place) {
  constexpr std::size_t kMostValues = 64;
  unsigned flags = 0, config = 0;
  std::size_t count = kMostValues;
  std::array<unsigned, kMostValues> values{};
  std::array<char, 64> name{};
  Filter filter;
  filter.id = H5Pget_filter2(*creation, place, &flags, &count, values.data(), name.size() - 1,
                             name.data(), &config);
  filter.name = name[0] != '\0' ? name.data() : fmt::format("filter {}", filter.id);
  filter.values.assign(values.begin(),
                       values.begin() + static_cast<std::ptrdiff_t>(std::min(count, kMostValues)));
  return filter;
}

std::vector<Filter> read_filters(const Handle& creation) {
  std::vector<Filter> filters;
  const int count = H5Pget_nfilters(*creation);
  for (int i = 0; i < count; ++i)
    filters.push_back(read_filter(creation, static_cast<unsigned>(i)));
  return filters;
}

std::vector<hsize_t> chunk_sizes(const Handle& creation, int rank) {
  std::vector<hsize_t> chunk(static_cast<std::size_t>(rank));
  H5Pget_chunk(*creation, rank, chunk.data());
  return chunk;
}

std::vector<std::byte> fill_value(const Handle& creation, const Handle& type,
                                  const std::string& where) {
  std::vector<std::byte> fill(H5Tget_size(*type));
  H5D_fill_value_t state = H5D_FILL_VALUE_UNDEFINED;
  check(H5Pfill_value_defined(*creation, &state), where, "read its fill value");
  if (state == H5D_FILL_VALUE_USER_DEFINED)
    check(H5Pget_fill_value(*creation, *type, fill.data()), where, "read its fill value");
  return fill;
}

// Where the library looks for a source: as named, and beside the virtual dataset's file.
std::string find_source(const std::string& name, const std::string& file) {
  namespace fs = std::filesystem;
  if (name == ".") return file;
  std::vector<fs::path> places;
  if (const char* prefix = std::getenv("HDF5_VDS_PREFIX"))
    places.push_back(fs::path(prefix) / name);
  places.push_back(fs::path(file).parent_path() / name);
  places.push_back(fs::path(file).parent_path() / fs::path(name).filename());
  places.emplace_back(name);
  std::error_code ignored;
  for (const fs::path& place : places)
    if (fs::is_regular_file(place, ignored)) return place.string();
  return "";
}

std::string virtual_name(const Handle& creation, std::size_t source, bool of_file,
                         const std::string& where) {
  const auto get = of_file ? H5Pget_virtual_filename : H5Pget_virtual_dsetname;
  const auto length = check(get(*creation, source, nullptr, 0), where, "read its sources");
  std::string name(static_cast<std::size_t>(length) + 1, '\0');
  check(get(*creation, source, name.data(), name.size()), where, "read its sources");
  name.pop_back();
  return name;
}

}  // namespace

ElementType describe_type(const Handle& type) {
  ElementType result;
  result.bytes = H5Tget_size(*type);
  result.is_standard = is_standard(type);
  for (DType candidate : {DType::kUInt8, DType::kInt64, DType::kFloat32, DType::kFloat64})
    if (H5Tequal(*type, memory_type(candidate)) > 0) result.native = candidate;
  switch (H5Tget_class(*type)) {
    case H5T_INTEGER:
      result.kind = ElementType::Kind::kInteger;
      result.is_signed = H5Tget_sign(*type) == H5T_SGN_2;
      result.is_big_endian = H5Tget_order(*type) == H5T_ORDER_BE;
      result.name = fmt::format("{}int{}{}", result.is_signed ? "" : "u", 8 * result.bytes,
                                byte_order_name(result));
      break;
    case H5T_ENUM: {  // h5py's bool; its numbers are those of its base type
      const Handle base = own(H5Tget_super(*type), "HDF5", "read a type");
      result = describe_type(base);
      result.native.reset();
      result.name = fmt::format("enumeration of {} bytes", result.bytes);
      break;
    }
    case H5T_FLOAT:
      result.kind = ElementType::Kind::kFloat;
      result.is_big_endian = H5Tget_order(*type) == H5T_ORDER_BE;
      result.is_standard |= is_half(type);
      result.name = fmt::format("float{}{}", 8 * result.bytes, byte_order_name(result));
      break;
    case H5T_STRING:
      result.name = "text";
      break;
    case H5T_COMPOUND:
      result.name = "compound";
      break;
    default:
      result.name = "no number";
      break;
  }
  return result;
}

std::string describe_layout(const Handle& creation, int rank) {
  switch (H5Pget_layout(*creation)) {
    case H5D_CONTIGUOUS:
      return H5Pget_external_count(*creation) > 0 ? "in external files" : "contiguous";
    case H5D_COMPACT:
      return "compact";
    case H5D_VIRTUAL:
      return "virtual";
    case H5D_CHUNKED: {
      std::string text = fmt::format("chunked ({})", fmt::join(chunk_sizes(creation, rank), ", "));
      for (const Filter& filter : read_filters(creation)) text += ", " + filter.name;
      return text;
    }
    default:
      return "of an unknown layout";
  }
}

std::optional<ChunkStorage> chunk_storage(const Handle& creation, const Handle& space,
                                          const Handle& type, const std::string& where) {
  if (H5Pget_layout(*creation) != H5D_CHUNKED) return std::nullopt;
  const int rank = check(H5Sget_simple_extent_ndims(*space), where, "read its shape");
  std::vector<hsize_t> sizes(static_cast<std::size_t>(rank)), most(sizes.size());
  check(H5Sget_simple_extent_dims(*space, sizes.data(), most.data()), where, "read its shape");
  const std::vector<hsize_t> chunk = chunk_sizes(creation, rank);
  ChunkStorage storage;
  storage.grid.sizes.assign(sizes.begin(), sizes.end());
  storage.grid.most_sizes.assign(most.begin(), most.end());  // H5S_UNLIMITED is kUnlimited
  storage.grid.chunk.assign(chunk.begin(), chunk.end());
  storage.grid.element_bytes = H5Tget_size(*type);
  storage.filters = read_filters(creation);
  storage.grid.filtered = !storage.filters.empty();
  unsigned options = 0;
  check(H5Pget_chunk_opts(*creation, &options), where, "read its layout");
  storage.edges_unfiltered = (options & H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) != 0;
  const H5T_class_t kind = H5Tget_class(*type);  // the value of others is no plain bytes
  if (kind == H5T_INTEGER || kind == H5T_FLOAT || kind == H5T_ENUM)
    storage.fill = fill_value(creation, type, where);
  return storage;
}

void check_virtual_sources(const Handle& creation, const std::string& file,
                           const std::string& where) {
  std::size_t sources = 0;
  check(H5Pget_virtual_count(*creation, &sources), where, "read its sources");
  std::string found, name_before;  // many sources are parts of one file
  for (std::size_t i = 0; i < sources; ++i) {
    const std::string name = virtual_name(creation, i, true, where);
    const std::string dataset = virtual_name(creation, i, false, where);
    if (name.find('%') != std::string::npos || dataset.find('%') != std::string::npos)
      continue;  // a pattern, which stands for as many as there are
    if (i == 0 || name != name_before) found = find_source(name, file);
    name_before = name;
    if (found.empty())
      throw Error(
          "{}: its source file '{}' is missing; put it beside {} or at the path that is "
          "recorded",
          where, name, file);
    if (!File::open(found).has_dataset(dataset))
      throw Error("{}: there is no dataset '{}' in its source file {}", where, dataset, found);
  }
}

}  // namespace lockstep::hdf5::detail
