// Tensor: a handle to contiguous elements on a device. Copying the handle aliases; clone() copies.
// Images are (N, H, W, C) in memory everywhere.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "kernels/core/dtype.h"
#include "kernels/core/error.h"
#include "kernels/core/shape.h"

namespace lockstep {

class Device;

class Tensor {
 public:
  Tensor() = default;  // no storage: "there is none"
  // `storage` owns (or keeps alive) the bytes; the elements start at its pointer.
  Tensor(std::shared_ptr<std::byte> storage, const Shape& shape, DType type, Device* device);

  bool defined() const { return storage_ != nullptr; }
  explicit operator bool() const { return defined(); }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device* device() const { return device_; }
  std::int64_t elements() const { return shape_.elements(); }
  std::size_t bytes() const { return static_cast<std::size_t>(elements()) * size_of(dtype_); }
  std::int64_t rows() const { return shape_.rank() == 0 ? 1 : shape_[0]; }

  std::byte* raw() const { return storage_.get(); }
  template <typename T>
  T* data() const {  // a device address; only a host device's may be read here
    LOCKSTEP_CHECK(dtype_of<T>() == dtype_, "tensor holds {}", name_of(dtype_));
    return reinterpret_cast<T*>(storage_.get());
  }
  template <typename T>
  std::span<T> span() const {
    return {data<T>(), static_cast<std::size_t>(elements())};
  }

  Tensor view(const Shape& shape) const;                           // same elements, other axes
  Tensor slice(std::int64_t begin, std::int64_t end) const;        // rows [begin, end)
  Tensor head(std::int64_t rows) const { return slice(0, rows); }  // the first rows
  Tensor clone() const;                                            // new storage, same device
  Tensor to_host() const;  // blocks until the copy is there; aliases where the device is the host

 private:
  std::shared_ptr<std::byte> storage_;
  Shape shape_;
  DType dtype_ = DType::kFloat32;
  Device* device_ = nullptr;
};

}  // namespace lockstep
