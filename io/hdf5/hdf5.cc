#include "io/hdf5/hdf5.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "io/base/system_reason.h"
#include "io/hdf5/hdf5_detail.h"

namespace lockstep::hdf5 {

namespace detail {

namespace {

// The library's state is one for the process, and so is its lock.
std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

herr_t keep_innermost(unsigned position, const H5E_error2_t* error, void* text) {
  if (position == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

}  // namespace

Session::Session() : lock_(library_mutex()) {
  // At exit the library would write once more what a full disk had refused, and crash. Files are
  // closed by their owners, so there is nothing left for it to do then.
  [[maybe_unused]] static const herr_t not_at_exit = H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

std::string library_error() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
  // Of a failed system call it tells everything down to addresses: its errno says it better.
  constexpr std::string_view kErrno = "errno = ";
  if (const std::size_t place = text.find(kErrno); place != std::string::npos)
    return fmt::format("HDF5: {}: {}", text.substr(0, text.find_first_of(":,")),
                       system_reason(std::atoi(text.c_str() + place + kErrno.size())));
  return text.empty() ? "the HDF5 library gives no reason" : "HDF5: " + text;
}

Handle own(hid_t id, const std::string& where, const char* action) {
  check(id, where, action);
  return {new std::int64_t(id), [](const std::int64_t* owned) {
            Session session;
            H5Idec_ref(*owned);
            delete owned;
          }};
}

hid_t memory_type(DType type) {
  switch (type) {
    case DType::kFloat32:
      return H5T_NATIVE_FLOAT;
    case DType::kFloat64:
      return H5T_NATIVE_DOUBLE;
    case DType::kUInt8:
      return H5T_NATIVE_UINT8;
    case DType::kInt64:
      return H5T_NATIVE_INT64;
    case DType::kBFloat16:
      break;
  }
  throw Error("HDF5 has no type for {}", name_of(type));
}

}  // namespace detail

using detail::check;
using detail::library_error;
using detail::own;
using detail::Session;

namespace {

constexpr std::uint64_t kPage = 4096;

std::string about(const std::string& file, const std::string& object, const std::string& name) {
  return fmt::format("{}: attribute '{}' of '{}'", file, name, object);
}

// Finds out by the system's own means what H5Fopen would report in its own words or not at all.
// The errno of locking it, or 0: file systems that come over a network often know no locks.
int check_readable(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw Error("{}: this is a folder; name the HDF5 file in it", path);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const std::string reason = system_reason(errno);
    throw Error("{}: cannot open the file: {} (the working directory is {})", path, reason,
                std::filesystem::current_path(ignored).string());
  }
  const int lock_error = ::flock(descriptor, LOCK_SH | LOCK_NB) == 0 ? 0 : errno;
  ::close(descriptor);
  return lock_error;
}

constexpr const char* kLockingHint =
    "its file system may know no locks: set HDF5_USE_FILE_LOCKING=FALSE in the environment";

std::string with_locking_hint(const std::string& reason) {
  return reason.find("lock") == std::string::npos ? reason : reason + "; " + kLockingHint;
}

// An attribute opened for reading, or an empty handle where the object has none of that name.
Handle open_attribute(const Handle& file, const std::string& object, const std::string& name,
                      const std::string& where) {
  const htri_t exists = check(H5Aexists_by_name(*file, object.c_str(), name.c_str(), H5P_DEFAULT),
                              where, "look for it");
  if (exists == 0) return {};
  return own(H5Aopen_by_name(*file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), where,
             "open it");
}

std::size_t attribute_elements(const Handle& attribute, const std::string& where) {
  const Handle space = own(H5Aget_space(*attribute), where, "read its shape");
  return static_cast<std::size_t>(
      check(H5Sget_simple_extent_npoints(*space), where, "read its shape"));
}

Handle text_type() {
  Handle type = own(H5Tcopy(H5T_C_S1), "HDF5", "copy a type");
  check(H5Tset_size(*type, H5T_VARIABLE), "HDF5", "set the size of a type");
  check(H5Tset_cset(*type, H5T_CSET_UTF8), "HDF5", "set the character set of a type");
  return type;
}

std::vector<std::string> read_variable_texts(const Handle& attribute, const Handle& type,
                                             std::size_t count, const std::string& where) {
  std::vector<char*> pointers(count, nullptr);
  check(H5Aread(*attribute, *type, pointers.data()), where, "read it");
  std::vector<std::string> values;
  for (char* pointer : pointers) {
    values.emplace_back(pointer == nullptr ? "" : pointer);
    H5free_memory(pointer);
  }
  return values;
}

std::vector<std::string> read_fixed_texts(const Handle& attribute, const Handle& type,
                                          std::size_t count, const std::string& where) {
  const std::size_t width = H5Tget_size(*type);
  std::vector<char> characters(count * width);
  check(H5Aread(*attribute, *type, characters.data()), where, "read it");
  std::vector<std::string> values;
  for (std::size_t i = 0; i < count; ++i) {
    const char* start = characters.data() + i * width;
    values.emplace_back(start, strnlen(start, width));
  }
  return values;
}

std::vector<std::string> read_texts(const Handle& attribute, const std::string& where) {
  const Handle type = own(H5Aget_type(*attribute), where, "read its type");
  if (H5Tget_class(*type) != H5T_STRING) throw Error("{} is no text", where);
  const std::size_t count = attribute_elements(attribute, where);
  if (count == 0) return {};
  const bool variable = check(H5Tis_variable_str(*type), where, "read its type") > 0;
  return variable ? read_variable_texts(attribute, type, count, where)
                  : read_fixed_texts(attribute, type, count, where);
}

void write_attribute(const Handle& file, const std::string& object, const std::string& name,
                     hid_t type, const Handle& space, const void* values,
                     const std::string& where) {
  if (check(H5Aexists_by_name(*file, object.c_str(), name.c_str(), H5P_DEFAULT), where,
            "look for it") > 0)
    check(H5Adelete_by_name(*file, object.c_str(), name.c_str(), H5P_DEFAULT), where, "replace it");
  const Handle attribute = own(H5Acreate_by_name(*file, object.c_str(), name.c_str(), type, *space,
                                                 H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                               where, "create it");
  if (values != nullptr) check(H5Awrite(*attribute, type, values), where, "write it");
}

Handle simple_space(std::size_t count, const std::string& where) {
  const hsize_t size = count;
  return own(H5Screate_simple(1, &size, nullptr), where, "describe its shape");
}

}  // namespace

File File::open(const std::string& path) {
  return open_existing(path, H5F_ACC_RDONLY);
}

File File::modify(const std::string& path) {
  return open_existing(path, H5F_ACC_RDWR);
}

File File::open_existing(const std::string& path, unsigned mode) {
  Session session;
  const int lock_error = check_readable(path);
  const Handle access = own(H5Pcreate(H5P_FILE_ACCESS), path, "open the file");
  // Who only reads can do without a lock, but for that of another who is writing.
  if (lock_error != 0 && lock_error != EWOULDBLOCK && mode == H5F_ACC_RDONLY)
    check(H5Pset_file_locking(*access, false, true), path, "open the file");
  if (H5Fis_hdf5(path.c_str()) <= 0)
    throw Error("{}: this is not an HDF5 file; 'lockstep prepare' makes one from CSV or IDX files",
                path);
  const hid_t id = H5Fopen(path.c_str(), mode, *access);
  if (id < 0) {
    const std::string reason = library_error();
    if (reason.find("truncated") != std::string::npos)
      throw Error("{}: the file is truncated; copy or prepare it again ({})", path, reason);
    if (lock_error == EWOULDBLOCK)
      throw Error("{}: another program is writing the file ({}); wait for its end", path, reason);
    throw Error("{}: cannot open the file: {}", path, with_locking_hint(reason));
  }
  return File(path, own(id, path, "open the file"));
}

File File::create(const std::string& path) {
  Session session;
  // Times off: the same contents give the same file. The 1.8 format stores attributes over 64 KB.
  const Handle creation = own(H5Pcreate(H5P_FILE_CREATE), path, "create the file");
  check(H5Pset_obj_track_times(*creation, 0), path, "create the file");
  const Handle access = own(H5Pcreate(H5P_FILE_ACCESS), path, "create the file");
  check(H5Pset_libver_bounds(*access, H5F_LIBVER_V18, H5F_LIBVER_LATEST), path, "create the file");
  check(H5Pset_alignment(*access, kPage, kPage), path, "create the file");
  // Values that waited in a buffer would be written as the dataset closes, where errors are lost.
  check(H5Pset_sieve_buf_size(*access, 0), path, "create the file");
  const hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, *creation, *access);
  if (id < 0)
    throw Error("{}: cannot create the file: {}", path, with_locking_hint(library_error()));
  return File(path, own(id, path, "create the file"));
}

bool File::has_dataset(const std::string& path) const {
  Session session;
  const hid_t id = H5Oopen(*handle_, path.c_str(), H5P_DEFAULT);
  if (id < 0) return false;
  const Handle object = own(id, path_, "open an object");
  return H5Iget_type(id) == H5I_DATASET;
}

bool File::has_group(const std::string& path) const {
  Session session;
  const hid_t id = H5Oopen(*handle_, path.c_str(), H5P_DEFAULT);
  if (id < 0) return false;
  const Handle object = own(id, path_, "open an object");
  return H5Iget_type(id) == H5I_GROUP;
}

std::vector<std::string> File::datasets() const {
  Session session;
  std::vector<std::string> paths;
  const auto add = [](hid_t, const char* name, const H5O_info_t* info, void* list) -> herr_t {
    if (info->type == H5O_TYPE_DATASET)
      static_cast<std::vector<std::string>*>(list)->push_back(std::string("/") + name);
    return 0;
  };
  check(H5Ovisit2(*handle_, H5_INDEX_NAME, H5_ITER_INC, add, &paths, H5O_INFO_BASIC), path_,
        "list the datasets");
  std::sort(paths.begin(), paths.end());
  return paths;
}

Dataset File::dataset(const std::string& path) const {
  Session session;
  if (!has_dataset(path)) {
    const std::vector<std::string> present = datasets();
    throw Error("{}: there is no dataset '{}'; the file holds {}", path_, path,
                present.empty() ? "none" : fmt::format("{}", fmt::join(present, ", ")));
  }
  return Dataset(path_, path, handle_);
}

std::optional<std::string> File::text(const std::string& object, const std::string& name) const {
  const std::optional<std::vector<std::string>> values = texts(object, name);
  if (!values) return std::nullopt;
  if (values->size() != 1)
    throw Error("{} holds {} texts, not one", about(path_, object, name), values->size());
  return values->front();
}

std::optional<std::vector<std::string>> File::texts(const std::string& object,
                                                    const std::string& name) const {
  Session session;
  const std::string where = about(path_, object, name);
  const Handle attribute = open_attribute(handle_, object, name, where);
  if (!attribute) return std::nullopt;
  return read_texts(attribute, where);
}

std::optional<std::vector<double>> File::numbers(const std::string& object,
                                                 const std::string& name) const {
  Session session;
  const std::string where = about(path_, object, name);
  const Handle attribute = open_attribute(handle_, object, name, where);
  if (!attribute) return std::nullopt;
  const Handle type = own(H5Aget_type(*attribute), where, "read its type");
  const H5T_class_t kind = H5Tget_class(*type);
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) throw Error("{} is no number", where);
  std::vector<double> values(attribute_elements(attribute, where));
  if (!values.empty())
    check(H5Aread(*attribute, H5T_NATIVE_DOUBLE, values.data()), where, "read it");
  return values;
}

void File::set_text(const std::string& object, const std::string& name, const std::string& value) {
  Session session;
  const std::string where = about(path_, object, name);
  const char* pointer = value.c_str();
  write_attribute(handle_, object, name, *text_type(),
                  own(H5Screate(H5S_SCALAR), where, "describe its shape"), &pointer, where);
}

void File::set_texts(const std::string& object, const std::string& name,
                     std::span<const std::string> values) {
  Session session;
  const std::string where = about(path_, object, name);
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  write_attribute(handle_, object, name, *text_type(), simple_space(values.size(), where),
                  values.empty() ? nullptr : pointers.data(), where);
}

void File::set_numbers(const std::string& object, const std::string& name,
                       std::span<const double> values) {
  Session session;
  const std::string where = about(path_, object, name);
  write_attribute(handle_, object, name, H5T_NATIVE_DOUBLE, simple_space(values.size(), where),
                  values.empty() ? nullptr : values.data(), where);
}

void File::flush() {
  Session session;
  check(H5Fflush(*handle_, H5F_SCOPE_GLOBAL), path_, "write the file");
}

void File::close() {
  Session session;
  flush();
  // Closing writes, too, and the owner's own release would lose the error.
  const hid_t id = *handle_;
  check(H5Iinc_ref(id), path_, "close the file");
  handle_.reset();
  check(H5Fclose(id), path_, "write the file");
}

}  // namespace lockstep::hdf5
