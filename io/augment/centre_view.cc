#include "io/augment/centre_view.h"

#include <algorithm>
#include <cmath>

namespace lockstep {

namespace {

constexpr double kCentreShare = 0.875;

class CentreView final : public Dataset {
 public:
  CentreView(std::shared_ptr<const Dataset> dataset, const Shape& sample)
      : dataset_(std::move(dataset)), sample_(sample) {
    const Shape stored = dataset_->sample_shape();
    LOCKSTEP_CHECK(stored.rank() == 3 && sample.rank() == 3 && stored[2] == sample[2],
                   "a view of {} as {}", stored.to_string(), sample.to_string());
    box_ = centre_box(stored[0], stored[1], sample[0], sample[1]);
  }

  const DatasetInfo& info() const override { return dataset_->info(); }
  std::int64_t rows() const override { return dataset_->rows(); }
  Shape sample_shape() const override { return sample_; }
  DType x_type() const override { return dataset_->x_type(); }
  TargetKind target() const override { return dataset_->target(); }
  std::int64_t target_columns() const override { return dataset_->target_columns(); }
  std::int64_t class_count() const override { return dataset_->class_count(); }
  bool has_weight() const override { return dataset_->has_weight(); }
  std::string access() const override { return dataset_->access(); }
  std::size_t row_bytes() const override {
    const auto bytes = [&](const Shape& shape) {
      return static_cast<std::size_t>(shape.elements()) * size_of(x_type());
    };
    return dataset_->row_bytes() - bytes(dataset_->sample_shape()) + bytes(sample_);
  }
  std::string checksum() const override { return dataset_->checksum(); }

  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
            Tensor& weight) const override {
    const Shape stored = dataset_->sample_shape();
    Tensor whole = host_tensor(stored.with_rows(static_cast<std::int64_t>(rows.size())), x_type());
    dataset_->read(rows, whole, y, weight);
    AugmentWorkspace workspace;
    for (std::int64_t row = 0; row < whole.rows(); ++row) {
      const ImageSpan from{whole.slice(row, row + 1).raw(), x_type(), stored[0], stored[1],
                           stored[2]};
      const ImageSpan to{x.slice(row, row + 1).raw(), x_type(), sample_[0], sample_[1], sample_[2]};
      resize_box(from, box_, to, workspace);
    }
  }

 private:
  std::shared_ptr<const Dataset> dataset_;
  Shape sample_;
  PixelBox box_;
};

std::int64_t rounded(double value, std::int64_t most) {
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::nearbyint(value)), 1, most);
}

}  // namespace

PixelBox centre_box(std::int64_t stored_height, std::int64_t stored_width, std::int64_t height,
                    std::int64_t width) {
  const auto wanted_height = static_cast<double>(height), wanted_width = static_cast<double>(width);
  // How much larger than the result the largest box of its shape is.
  const double most = std::min(static_cast<double>(stored_height) / wanted_height,
                               static_cast<double>(stored_width) / wanted_width);
  const double scale = std::min(most, std::max(1.0, kCentreShare * most));
  PixelBox box;
  box.height = rounded(wanted_height * scale, stored_height);
  box.width = rounded(wanted_width * scale, stored_width);
  box.top = (stored_height - box.height) / 2;
  box.left = (stored_width - box.width) / 2;
  return box;
}

std::shared_ptr<const Dataset> centre_view(std::shared_ptr<const Dataset> dataset,
                                           const Shape& sample) {
  return std::make_shared<CentreView>(std::move(dataset), sample);
}

}  // namespace lockstep
