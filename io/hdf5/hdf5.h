// HDF5: a thin throwing wrapper over the HDF5 C library. Every handle is an RAII object; an error
// carries the file, the object and the library's own text, and the library prints nothing itself.
// Calls take one lock of the whole process, as the library's own state asks for; what must be read
// by many threads is read by pread instead, at Dataset::offset() or, of chunks, by chunk_store.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/hdf5/chunk_filters.h"
#include "io/hdf5/chunk_walker.h"
#include "kernels/core/dtype.h"
#include "kernels/core/shape.h"

namespace lockstep::hdf5 {

// A handle of the library, closed with its last owner. Empty: 0.
using Handle = std::shared_ptr<const std::int64_t>;

// The type of a dataset's elements as it stands in the file.
struct ElementType {
  enum class Kind { kInteger, kFloat, kOther } kind = Kind::kOther;
  std::size_t bytes = 0;
  bool is_signed = false;    // of integers
  bool is_standard = false;  // two's complement or IEEE 754 of 1, 2, 4 or 8 bytes
  bool is_big_endian = false;
  std::optional<DType> native;  // set where memory may hold the file's bytes as they are
  std::string name;             // "uint16, big-endian"

  bool is_integer() const { return kind == Kind::kInteger; }
  bool is_float() const { return kind == Kind::kFloat; }
};

// How a chunked dataset is cut and what was done to its chunks.
struct ChunkStorage {
  ChunkGrid grid;
  std::vector<Filter> filters;    // in the order in which writing applied them
  bool edges_unfiltered = false;  // chunks that reach past the dataset's size were left as they are
  std::vector<std::byte> fill;    // an element of a chunk that was never written, as in the file
};

class Dataset {
 public:
  const std::string& file() const { return file_; }
  const std::string& path() const { return path_; }
  // `file: dataset 'path'`, the start of a message about this dataset.
  std::string where() const;

  std::span<const std::int64_t> sizes() const { return sizes_; }  // of all axes, rows first
  std::int64_t rows() const { return sizes_.empty() ? 1 : sizes_.front(); }
  std::int64_t row_elements() const;
  const ElementType& type() const { return type_; }
  // Where the elements start in the file, if they lie there in one piece and unfiltered.
  std::optional<std::uint64_t> offset() const { return offset_; }
  // "contiguous", "chunked (128, 28, 28), gzip", "virtual", ...
  const std::string& layout() const { return layout_; }
  std::span<const std::int64_t> chunk() const { return chunk_; }  // sizes; empty without chunks
  bool filtered() const { return filtered_; }                     // compressed or the like
  // The file that holds the elements: another than file() behind an external link.
  const std::string& storage_file() const { return storage_file_; }
  // Nothing where the dataset is not chunked.
  const std::optional<ChunkStorage>& chunk_storage() const { return chunk_storage_; }
  std::uint64_t object_header() const;  // its address, from the superblock on

  // Rows [begin, begin + count), converted by the library to `type`, to `out`.
  void read_rows(std::int64_t begin, std::int64_t count, DType type, void* out) const;
  // Any set of rows, strictly ascending, in one read.
  void read_rows(std::span<const std::int64_t> ascending, DType type, void* out) const;
  // The same, in the file's own type but the machine's byte order; for standard types.
  void read_stored_rows(std::span<const std::int64_t> ascending, void* out) const;
  // Rows [begin, begin + count) from values of `type` in memory.
  void write_rows(std::int64_t begin, std::int64_t count, DType type, const void* values);

 private:
  friend class File;
  Dataset(std::string file, std::string path, Handle handle);
  void read_run(std::int64_t begin, std::int64_t count, std::int64_t memory_type, void* out) const;
  void read_runs(std::span<const std::int64_t> ascending, std::int64_t memory_type,
                 std::size_t row_bytes, void* out) const;

  std::string file_, path_, storage_file_;
  Handle handle_;
  std::vector<std::int64_t> sizes_;
  ElementType type_;
  std::optional<std::uint64_t> offset_;
  std::string layout_;
  std::vector<std::int64_t> chunk_;
  bool filtered_ = false;
  std::optional<ChunkStorage> chunk_storage_;
};

// How a new dataset is stored: in one piece, unless chunk_rows is set.
struct Storage {
  std::int64_t chunk_rows = 0;
  std::vector<std::int64_t> chunk_sample{};  // sizes of a chunk within a row; empty: whole rows
  int deflate = 0;                           // 0 to 9; needs chunks
};

class File {
 public:
  static File open(const std::string& path);    // to read; throws if missing, not HDF5, truncated
  static File create(const std::string& path);  // to write; an existing file is overwritten
  static File modify(const std::string& path);  // to add to a file that exists

  const std::string& path() const { return path_; }
  bool has_dataset(const std::string& path) const;
  bool has_group(const std::string& path) const;
  std::vector<std::string> datasets() const;       // absolute paths of all, sorted
  Dataset dataset(const std::string& path) const;  // throws with the list of those present

  // Groups on the way are made. Elements in the machine's byte order.
  Dataset create_dataset(const std::string& path, const Shape& shape, DType type,
                         const Storage& storage = {});
  // Creates and writes in one call.
  Dataset write(const std::string& path, const Shape& shape, DType type, const void* values,
                const Storage& storage = {});

  // Attributes of an object ("/" is the root); nothing where there is none of that name.
  std::optional<std::string> text(const std::string& object, const std::string& name) const;
  std::optional<std::vector<std::string>> texts(const std::string& object,
                                                const std::string& name) const;
  std::optional<std::vector<double>> numbers(const std::string& object,
                                             const std::string& name) const;
  void set_text(const std::string& object, const std::string& name, const std::string& value);
  void set_texts(const std::string& object, const std::string& name,
                 std::span<const std::string> values);
  void set_numbers(const std::string& object, const std::string& name,
                   std::span<const double> values);

  void flush();  // to the operating system
  void close();  // early, with errors thrown rather than lost; no other call after it

 private:
  static File open_existing(const std::string& path, unsigned mode);
  File(std::string path, Handle handle) : path_(std::move(path)), handle_(std::move(handle)) {}

  void create_groups_above(const std::string& path);

  std::string path_;
  Handle handle_;
};

}  // namespace lockstep::hdf5
