#include "kernels/core/tensor.h"

#include "kernels/core/device.h"

namespace lockstep {

Tensor::Tensor(std::shared_ptr<std::byte> storage, const Shape& shape, DType type, Device* device)
    : storage_(std::move(storage)), shape_(shape), dtype_(type), device_(device) {}

Tensor Tensor::view(const Shape& shape) const {
  LOCKSTEP_CHECK(shape.elements() == elements(), "{} cannot be viewed as {}", shape_.to_string(),
                 shape.to_string());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  LOCKSTEP_CHECK(shape_.rank() > 0 && 0 <= begin && begin <= end && end <= shape_[0],
                 "rows [{}, {}) of {}", begin, end, shape_.to_string());
  const Shape row = shape_.without_rows();
  const std::size_t offset = static_cast<std::size_t>(begin * row.elements()) * size_of(dtype_);
  return Tensor({storage_, storage_.get() + offset}, row.with_rows(end - begin), dtype_, device_);
}

Tensor Tensor::clone() const {
  LOCKSTEP_CHECK(defined(), "an undefined tensor cannot be cloned");
  Tensor result = device_->empty(shape_, dtype_);
  device_->copy(*this, result);
  return result;
}

Tensor Tensor::to_host() const {
  LOCKSTEP_CHECK(defined(), "an undefined tensor has no host copy");
  if (device_ == nullptr) return *this;  // memory of the host, which no device gave
  return device_->to_host(*this);
}

}  // namespace lockstep
