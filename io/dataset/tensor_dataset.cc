#include "io/dataset/tensor_dataset.h"

#include <cstring>

namespace lockstep {

namespace {

class TensorDataset final : public Dataset {
 public:
  TensorDataset(Tensor x, DatasetInfo info) : x_(std::move(x)), info_(std::move(info)) {}

  const DatasetInfo& info() const override { return info_; }
  std::int64_t rows() const override { return x_.rows(); }
  Shape sample_shape() const override { return x_.shape().without_rows(); }
  DType x_type() const override { return x_.dtype(); }
  TargetKind target() const override { return TargetKind::kNone; }
  std::int64_t target_columns() const override { return 1; }
  std::int64_t class_count() const override {
    return static_cast<std::int64_t>(info_.classes.size());
  }
  bool has_weight() const override { return false; }
  std::string access() const override { return "in memory"; }
  std::size_t row_bytes() const override {
    return x_.bytes() / static_cast<std::size_t>(x_.rows());
  }
  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor&, Tensor&) const override {
    std::byte* to = x.raw();
    for (const std::int64_t row : rows) {
      LOCKSTEP_CHECK(0 <= row && row < x_.rows(), "row {} of {} rows", row, x_.rows());
      std::memcpy(to, x_.raw() + static_cast<std::size_t>(row) * row_bytes(), row_bytes());
      to += row_bytes();
    }
  }
  std::string checksum() const override { return contents_checksum(*this); }

 private:
  Tensor x_;
  DatasetInfo info_;
};

}  // namespace

std::shared_ptr<const Dataset> tensor_dataset(Tensor x, DatasetInfo info) {
  return std::make_shared<TensorDataset>(std::move(x), std::move(info));
}

}  // namespace lockstep
