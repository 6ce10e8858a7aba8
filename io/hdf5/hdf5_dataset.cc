// Datasets of the HDF5 wrapper: what they say of themselves, rows in and out.
#include <algorithm>

#include "io/hdf5/hdf5.h"
#include "io/hdf5/hdf5_detail.h"
#include "io/hdf5/hdf5_types.h"

namespace lockstep::hdf5 {

using detail::check;
using detail::describe_type;
using detail::memory_type;
using detail::own;
using detail::Session;

namespace {

constexpr std::size_t kChunkCache = std::size_t{32} << 20;

std::vector<hsize_t> to_hsize(std::span<const std::int64_t> sizes) {
  return {sizes.begin(), sizes.end()};
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

std::string name_of_file(hid_t object, const std::string& where) {
  const auto length = check(H5Fget_name(object, nullptr, 0), where, "name its file");
  std::string name(static_cast<std::size_t>(length) + 1, '\0');
  check(H5Fget_name(object, name.data(), name.size()), where, "name its file");
  name.pop_back();
  return name;
}

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
  const Handle type = own(H5Dget_type(*handle_), here, "read its type");
  type_ = describe_type(type);
  const Handle creation = own(H5Dget_create_plist(*handle_), here, "read its layout");
  layout_ = detail::describe_layout(creation, static_cast<int>(sizes.size()));
  if (H5Pget_layout(*creation) == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(sizes.size());
    check(H5Pget_chunk(*creation, static_cast<int>(chunk.size()), chunk.data()), here,
          "read its layout");
    chunk_.assign(chunk.begin(), chunk.end());
    filtered_ = H5Pget_nfilters(*creation) > 0;
  }
  chunk_storage_ = detail::chunk_storage(creation, space, type, here);
  storage_file_ = name_of_file(*handle_, here);
  if (layout_ == "virtual") detail::check_virtual_sources(creation, storage_file_, here);
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
  Session session;
  read_run(begin, count, memory_type(type), out);
}

void Dataset::read_run(std::int64_t begin, std::int64_t count, std::int64_t memory_type,
                       void* out) const {
  if (count == 0 || row_elements() == 0) return;
  const Selection selection(*handle_, sizes_, begin, count, where());
  const herr_t status =
      H5Dread(*handle_, memory_type, *selection.memory, *selection.file, H5P_DEFAULT, out);
  if (status >= 0) return;
  const std::string reason = detail::library_error();
  for (const Filter& filter : chunk_storage_ ? chunk_storage_->filters : std::vector<Filter>{})
    if (H5Zfilter_avail(filter.id) <= 0)
      throw Error(
          "{}: its chunks were packed with the filter {}, which this machine's HDF5 library does "
          "not "
          "have; put its plug-in where HDF5_PLUGIN_PATH says, or write the file with gzip",
          where(), filter.name);
  throw Error("{}: cannot read rows {} to {}: {}", where(), begin, begin + count - 1, reason);
}

void Dataset::read_rows(std::span<const std::int64_t> ascending, DType type, void* out) const {
  Session session;
  read_runs(ascending, memory_type(type), static_cast<std::size_t>(row_elements()) * size_of(type),
            out);
}

void Dataset::read_stored_rows(std::span<const std::int64_t> ascending, void* out) const {
  Session session;
  Handle stored = own(H5Dget_type(*handle_), where(), "read its type");
  if (H5Tget_class(*stored) == H5T_ENUM)
    stored = own(H5Tget_super(*stored), where(), "read its type");
  const Handle native = own(H5Tcopy(*stored), where(), "read its type");
  check(H5Tset_order(*native, H5Tget_order(H5T_NATIVE_INT)), where(), "read its type");
  read_runs(ascending, *native, static_cast<std::size_t>(row_elements()) * type_.bytes, out);
}

void Dataset::read_runs(std::span<const std::int64_t> ascending, std::int64_t memory_type,
                        std::size_t row_bytes, void* out) const {
  // One read a run of neighbours: one selection of many rows is a hundred times slower in HDF5.
  std::size_t first = 0;
  while (first < ascending.size()) {
    std::size_t last = first + 1;
    while (last < ascending.size() && ascending[last] == ascending[last - 1] + 1) ++last;
    read_run(ascending[first], static_cast<std::int64_t>(last - first), memory_type,
             static_cast<std::byte*>(out) + first * row_bytes);
    first = last;
  }
}

std::uint64_t Dataset::object_header() const {
  Session session;
  H5O_info_t info{};
  check(H5Oget_info2(*handle_, &info, H5O_INFO_BASIC), where(), "find its object header");
  return info.addr;
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
    for (std::size_t i = 0; i < storage.chunk_sample.size(); ++i)
      chunk.at(i + 1) = static_cast<hsize_t>(storage.chunk_sample[i]);
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
