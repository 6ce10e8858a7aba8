// Datasets of the HDF5 wrapper: what they say of themselves, rows in and out.
#include <algorithm>
#include <array>

#include "io/hdf5/hdf5.h"
#include "io/hdf5/hdf5_detail.h"

namespace lockstep::hdf5 {

using detail::check;
using detail::memory_type;
using detail::own;
using detail::Session;

namespace {

constexpr std::size_t kChunkCache = std::size_t{32} << 20;

std::vector<hsize_t> to_hsize(std::span<const std::int64_t> sizes) {
  return {sizes.begin(), sizes.end()};
}

std::string byte_order_name(hid_t type) {
  if (H5Tget_size(type) == 1) return "";
  return H5Tget_order(type) == H5T_ORDER_BE ? ", big-endian" : "";
}

ElementType describe_type(const Handle& type) {
  ElementType result;
  result.bytes = H5Tget_size(*type);
  for (DType candidate : {DType::kUInt8, DType::kInt64, DType::kFloat32, DType::kFloat64})
    if (H5Tequal(*type, memory_type(candidate)) > 0) result.native = candidate;
  switch (H5Tget_class(*type)) {
    case H5T_INTEGER:
      result.kind = ElementType::Kind::kInteger;
      result.is_signed = H5Tget_sign(*type) == H5T_SGN_2;
      result.name = fmt::format("{}int{}{}", result.is_signed ? "" : "u", 8 * result.bytes,
                                byte_order_name(*type));
      break;
    case H5T_ENUM:  // h5py's bool; the library converts it to its integers
      result.kind = ElementType::Kind::kInteger;
      result.is_signed = true;
      result.name = fmt::format("enumeration of {} bytes", result.bytes);
      break;
    case H5T_FLOAT:
      result.kind = ElementType::Kind::kFloat;
      result.name = fmt::format("float{}{}", 8 * result.bytes, byte_order_name(*type));
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

std::string filter_names(const Handle& creation) {
  std::string names;
  const int count = H5Pget_nfilters(*creation);
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    std::array<char, 64> name{};
    const H5Z_filter_t filter = H5Pget_filter2(*creation, static_cast<unsigned>(i), &flags, &values,
                                               nullptr, name.size() - 1, name.data(), &config);
    names += ", ";
    if (name[0] != '\0')
      names += name.data();
    else
      names += fmt::format("filter {}", filter);
  }
  return names;
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
      std::vector<hsize_t> chunk(static_cast<std::size_t>(rank));
      H5Pget_chunk(*creation, rank, chunk.data());
      return fmt::format("chunked ({}){}", fmt::join(chunk, ", "), filter_names(creation));
    }
    default:
      return "of an unknown layout";
  }
}

// A cache that holds whole chunks, or each row of a large chunk would decompress all of it again.
Handle access_properties(const std::string& where) {
  Handle access = own(H5Pcreate(H5P_DATASET_ACCESS), where, "open it");
  check(H5Pset_chunk_cache(*access, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, kChunkCache,
                           H5D_CHUNK_CACHE_W0_DEFAULT),
        where, "open it");
  return access;
}

// The part of the file's space that rows [begin, begin + count) fill, and a space of that size.
struct Selection {
  Handle file, memory;

  Selection(hid_t dataset, std::span<const std::int64_t> sizes, std::int64_t begin,
            std::int64_t count, const std::string& where)
      : file(own(H5Dget_space(dataset), where, "select rows")) {
    std::vector<hsize_t> start(sizes.size(), 0), extent = to_hsize(sizes);
    if (!sizes.empty()) {
      start[0] = static_cast<hsize_t>(begin);
      extent[0] = static_cast<hsize_t>(count);
      check(
          H5Sselect_hyperslab(*file, H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr),
          where, "select rows");
    }
    memory = own(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), where,
                 "select rows");
  }
};

}  // namespace

Dataset::Dataset(std::string file, std::string path, Handle file_handle)
    : file_(std::move(file)), path_(std::move(path)) {
  const std::string here = where();
  handle_ = own(H5Dopen2(*file_handle, path_.c_str(), *access_properties(here)), here, "open it");
  const Handle space = own(H5Dget_space(*handle_), here, "read its shape");
  std::vector<hsize_t> sizes(
      static_cast<std::size_t>(check(H5Sget_simple_extent_ndims(*space), here, "read its shape")));
  check(H5Sget_simple_extent_dims(*space, sizes.data(), nullptr), here, "read its shape");
  sizes_.assign(sizes.begin(), sizes.end());
  type_ = describe_type(own(H5Dget_type(*handle_), here, "read its type"));
  const Handle creation = own(H5Dget_create_plist(*handle_), here, "read its layout");
  layout_ = describe_layout(creation, static_cast<int>(sizes.size()));
  if (H5Pget_layout(*creation) == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(sizes.size());
    check(H5Pget_chunk(*creation, static_cast<int>(chunk.size()), chunk.data()), here,
          "read its layout");
    chunk_.assign(chunk.begin(), chunk.end());
    filtered_ = H5Pget_nfilters(*creation) > 0;
  }
  if (layout_ == "contiguous") {
    const haddr_t address = H5Dget_offset(*handle_);
    if (address != HADDR_UNDEF)
      offset_ = address;
    else
      layout_ = "contiguous but never written";
  }
}

std::string Dataset::where() const {
  return fmt::format("{}: dataset '{}'", file_, path_);
}

std::int64_t Dataset::row_elements() const {
  std::int64_t product = 1;
  for (std::size_t axis = 1; axis < sizes_.size(); ++axis) product *= sizes_[axis];
  return product;
}

void Dataset::read_rows(std::int64_t begin, std::int64_t count, DType type, void* out) const {
  if (count == 0 || row_elements() == 0) return;
  Session session;
  const Selection selection(*handle_, sizes_, begin, count, where());
  const herr_t status =
      H5Dread(*handle_, memory_type(type), *selection.memory, *selection.file, H5P_DEFAULT, out);
  if (status < 0)
    throw Error("{}: cannot read rows {} to {}: {}", where(), begin, begin + count - 1,
                detail::library_error());
}

void Dataset::read_rows(std::span<const std::int64_t> ascending, DType type, void* out) const {
  // One read a run of neighbours: one selection of many rows is a hundred times slower in HDF5.
  Session session;
  const std::size_t row_bytes = static_cast<std::size_t>(row_elements()) * size_of(type);
  std::size_t first = 0;
  while (first < ascending.size()) {
    std::size_t last = first + 1;
    while (last < ascending.size() && ascending[last] == ascending[last - 1] + 1) ++last;
    read_rows(ascending[first], static_cast<std::int64_t>(last - first), type,
              static_cast<std::byte*>(out) + first * row_bytes);
    first = last;
  }
}

void Dataset::write_rows(std::int64_t begin, std::int64_t count, DType type, const void* values) {
  if (count == 0 || row_elements() == 0) return;
  Session session;
  const Selection selection(*handle_, sizes_, begin, count, where());
  check(H5Dwrite(*handle_, memory_type(type), *selection.memory, *selection.file, H5P_DEFAULT,
                 values),
        where(), "write rows");
}

void File::create_groups_above(const std::string& path) {
  // Explicitly, for groups that the library makes on its way record the time of day.
  const Handle creation = own(H5Pcreate(H5P_GROUP_CREATE), path_, "create a group");
  check(H5Pset_obj_track_times(*creation, 0), path_, "create a group");
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string group = path.substr(0, slash);
    if (!has_group(group))
      own(H5Gcreate2(*handle_, group.c_str(), H5P_DEFAULT, *creation, H5P_DEFAULT),
          fmt::format("{}: group '{}'", path_, group), "create it");
  }
}

Dataset File::create_dataset(const std::string& path, const Shape& shape, DType type,
                             const Storage& storage) {
  Session session;
  const std::string where = fmt::format("{}: dataset '{}'", path_, path);
  create_groups_above(path);
  const std::vector<hsize_t> sizes = to_hsize(shape.sizes());
  const Handle space =
      own(H5Screate_simple(shape.rank(), sizes.data(), nullptr), where, "create it");
  const Handle creation = own(H5Pcreate(H5P_DATASET_CREATE), where, "create it");
  check(H5Pset_obj_track_times(*creation, 0), where, "create it");
  if (storage.chunk_rows > 0) {
    std::vector<hsize_t> chunk = sizes;
    chunk.at(0) = static_cast<hsize_t>(std::min(storage.chunk_rows, shape[0]));
    check(H5Pset_chunk(*creation, shape.rank(), chunk.data()), where, "set its chunks");
    if (storage.deflate > 0)
      check(H5Pset_deflate(*creation, static_cast<unsigned>(storage.deflate)), where,
            "compress it");
  } else {
    // Space from the start, unfilled: every row will be written.
    check(H5Pset_alloc_time(*creation, H5D_ALLOC_TIME_EARLY), where, "create it");
    check(H5Pset_fill_time(*creation, H5D_FILL_TIME_NEVER), where, "create it");
  }
  own(H5Dcreate2(*handle_, path.c_str(), memory_type(type), *space, H5P_DEFAULT, *creation,
                 H5P_DEFAULT),
      where, "create it");
  return Dataset(path_, path, handle_);
}

Dataset File::write(const std::string& path, const Shape& shape, DType type, const void* values,
                    const Storage& storage) {
  Dataset result = create_dataset(path, shape, type, storage);
  result.write_rows(0, result.rows(), type, values);
  return result;
}

}  // namespace lockstep::hdf5
