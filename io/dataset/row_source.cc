#include "io/dataset/row_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lockstep {

namespace {

constexpr std::size_t kBlockBytes = std::size_t{8} << 20;

void take_rows(const Tensor& from, std::span<const std::int64_t> rows, const Tensor& to) {
  const std::size_t bytes =
      static_cast<std::size_t>(from.shape().without_rows().elements()) * size_of(from.dtype());
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::memcpy(to.raw() + i * bytes, from.raw() + static_cast<std::size_t>(rows[i]) * bytes,
                bytes);
}

class MemoryRows final : public RowSource {
 public:
  MemoryRows(const Tensor& x, const Tensor& y, const Tensor& weight)
      : x_(x),
        y_(y),
        weight_(weight),
        layout_{.rows = x.rows(),
                .sample = x.shape().without_rows(),
                .x_type = x.dtype(),
                .target = y.dtype() == DType::kInt64 ? TargetKind::kClass : TargetKind::kValues,
                .target_columns = y.shape().rank() > 1 ? y.shape()[1] : 1,
                .weight = weight.defined()} {}

  const RowLayout& layout() const override { return layout_; }
  void read(std::span<const std::int64_t> rows, const RowBlock& to) override {
    take_rows(x_, rows, to.x);
    take_rows(y_, rows, to.y);
    if (layout_.weight) take_rows(weight_, rows, to.weight);
  }
  std::vector<std::int64_t> labels() override {
    if (layout_.target != TargetKind::kClass) return {};
    const std::span<const std::int64_t> labels = y_.span<std::int64_t>();
    return {labels.begin(), labels.end()};
  }

 private:
  Tensor x_, y_, weight_;
  RowLayout layout_;
};

class DatasetRows final : public RowSource {
 public:
  DatasetRows(std::shared_ptr<const Dataset> dataset, std::vector<std::string> names)
      : dataset_(std::move(dataset)), layout_(layout_of(*dataset_)), names_(std::move(names)) {}

  const RowLayout& layout() const override { return layout_; }
  void read(std::span<const std::int64_t> rows, const RowBlock& to) override {
    Tensor x = to.x, y = to.y, weight = to.weight;
    dataset_->read(rows, x, y, weight);
  }
  std::vector<std::string> names(std::span<const std::int64_t> rows) override {
    std::vector<std::string> names;
    if (names_.empty()) return names;
    for (const std::int64_t row : rows) names.push_back(names_[static_cast<std::size_t>(row)]);
    return names;
  }
  bool gains_by_large_blocks() const override { return true; }

 private:
  std::shared_ptr<const Dataset> dataset_;
  RowLayout layout_;
  std::vector<std::string> names_;
};

}  // namespace

Shape RowLayout::y_shape(std::int64_t count) const {
  return target == TargetKind::kClass ? Shape{count} : Shape{count, target_columns};
}

DType RowLayout::y_type() const {
  return target == TargetKind::kClass ? DType::kInt64 : DType::kFloat32;
}

std::size_t RowLayout::x_bytes() const {
  return static_cast<std::size_t>(sample.elements()) * size_of(x_type);
}

std::size_t RowLayout::row_bytes() const {
  std::size_t bytes = x_bytes() + (weight ? sizeof(float) : 0);
  if (target != TargetKind::kNone)
    bytes += static_cast<std::size_t>(target_columns) * size_of(y_type());
  return bytes;
}

RowLayout layout_of(const Dataset& dataset) {
  return {.rows = dataset.rows(),
          .sample = dataset.sample_shape(),
          .x_type = dataset.x_type(),
          .target = dataset.target(),
          .target_columns = dataset.target_columns(),
          .weight = dataset.has_weight()};
}

RowBlock::RowBlock(const RowLayout& layout, std::int64_t capacity)
    : x(host_tensor(layout.sample.with_rows(capacity), layout.x_type)) {
  if (layout.target != TargetKind::kNone)
    y = host_tensor(layout.y_shape(capacity), layout.y_type());
  if (layout.weight) weight = host_tensor({capacity}, DType::kFloat32);
}

RowBlock RowBlock::slice(std::int64_t begin, std::int64_t end) const {
  RowBlock block;
  block.x = x.slice(begin, end);
  if (y) block.y = y.slice(begin, end);
  if (weight) block.weight = weight.slice(begin, end);
  return block;
}

std::vector<std::int64_t> RowSource::labels() {
  const RowLayout& of = layout();
  std::vector<std::int64_t> labels;
  if (of.target != TargetKind::kClass) return labels;
  const auto most =
      std::clamp<std::int64_t>(static_cast<std::int64_t>(kBlockBytes / of.row_bytes()), 1, of.rows);
  const RowBlock block(of, most);
  for_each_rows(of.rows, most, [&](std::span<const std::int64_t> rows) {
    read(rows, block.head(static_cast<std::int64_t>(rows.size())));
    const std::span<const std::int64_t> y = block.y.span<std::int64_t>().first(rows.size());
    labels.insert(labels.end(), y.begin(), y.end());
  });
  return labels;
}

std::vector<std::string> RowSource::names(std::span<const std::int64_t>) {
  return {};
}

std::shared_ptr<RowSource> rows_in_memory(const Tensor& x, const Tensor& y, const Tensor& weight) {
  return std::make_shared<MemoryRows>(x, y, weight);
}

std::shared_ptr<RowSource> rows_of(std::shared_ptr<const Dataset> dataset,
                                   std::vector<std::string> names) {
  return std::make_shared<DatasetRows>(std::move(dataset), std::move(names));
}

}  // namespace lockstep
