// NumPy's .npy files (numpy.lib.format): writing float32 and int64 tensors, and reading rows of
// arrays of any integer, float or bool type, either byte order, C or Fortran order, versions 1 to
// 3.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/base/file.h"
#include "kernels/core/tensor.h"

namespace lockstep {

void write_npy(const std::string& path, const Tensor& host_tensor);  // atomic

class NpyReader {
 public:
  // Reads the header. Throws Error naming the file: no .npy file, elements that are no numbers, a
  // length that is not what the header promises.
  explicit NpyReader(const std::string& path);

  const std::string& path() const { return file_.path(); }
  std::span<const std::int64_t> sizes() const { return sizes_; }  // of all axes, rows first
  std::int64_t rows() const { return sizes_.empty() ? 1 : sizes_.front(); }
  std::int64_t row_elements() const { return row_elements_; }
  bool is_integer() const { return kind_ != 'f'; }  // bool counts as one
  bool is_bytes() const { return kind_ == 'u' && bytes_ == 1; }
  std::size_t element_bytes() const { return bytes_; }  // in the file
  std::string type_name() const;                        // "uint16, big-endian"

  // The given rows, in the given order, as float32 (any type), int64 (integers; throws for what is
  // beyond it) or uint8 (bytes alone); `out` holds rows.size() rows.
  void read(std::span<const std::int64_t> rows, DType type, std::byte* out) const;

 private:
  void parse_header(const std::string& header);
  // Where element `element` of a row (in C order) stands among the row's, in Fortran order.
  std::int64_t fortran_place(std::int64_t element) const;
  template <typename To>
  void read_as(std::span<const std::int64_t> rows, To* out) const;

  FileReader file_;
  std::uint64_t begin_ = 0;  // of the elements
  char kind_ = 0;            // 'f', 'i', 'u', 'b'
  std::size_t bytes_ = 0;    // of one element
  bool big_endian_ = false, fortran_ = false;
  std::vector<std::int64_t> sizes_;
  std::int64_t row_elements_ = 1;
};

}  // namespace lockstep
