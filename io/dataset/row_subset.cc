#include "io/dataset/row_subset.h"

namespace lockstep {

namespace {

class RowSubset final : public Dataset {
 public:
  RowSubset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> rows)
      : dataset_(std::move(dataset)), rows_(std::move(rows)) {
    for (const std::int64_t row : rows_) {
      if (row < 0 || row >= dataset_->rows())
        throw Error("there is no row {}: the data have {}, counted from 0", row, dataset_->rows());
    }
  }

  const DatasetInfo& info() const override { return dataset_->info(); }
  std::int64_t rows() const override { return static_cast<std::int64_t>(rows_.size()); }
  Shape sample_shape() const override { return dataset_->sample_shape(); }
  DType x_type() const override { return dataset_->x_type(); }
  TargetKind target() const override { return dataset_->target(); }
  std::int64_t target_columns() const override { return dataset_->target_columns(); }
  std::int64_t class_count() const override { return dataset_->class_count(); }
  bool has_weight() const override { return dataset_->has_weight(); }
  std::string access() const override { return dataset_->access(); }
  std::size_t cache_bytes() const override { return dataset_->cache_bytes(); }
  std::size_t row_bytes() const override { return dataset_->row_bytes(); }
  std::string checksum() const override { return contents_checksum(*this); }

  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
            Tensor& weight) const override {
    std::vector<std::int64_t> places;
    for (const std::int64_t row : rows) places.push_back(rows_[static_cast<std::size_t>(row)]);
    dataset_->read(places, x, y, weight);
  }

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::int64_t> rows_;
};

}  // namespace

std::unique_ptr<Dataset> row_subset(std::shared_ptr<const Dataset> dataset,
                                    std::vector<std::int64_t> rows) {
  return std::make_unique<RowSubset>(std::move(dataset), std::move(rows));
}

}  // namespace lockstep
