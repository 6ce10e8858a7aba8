// A dataset's rows in memory: x, then y, then weight, each on a 64-byte boundary.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>

#include "io/dataset/dataset.h"

namespace lockstep {

namespace {

constexpr std::size_t kBlockBytes = std::size_t{8} << 20;  // one pread or H5Dread
constexpr std::size_t kAlignment = 64;

struct Layout {
  std::size_t x_row, y_row, weight_row;  // bytes
  std::size_t y_begin, weight_begin, end;

  explicit Layout(const Dataset& dataset) {
    const auto rows = static_cast<std::size_t>(dataset.rows());
    const auto aligned = [](std::size_t bytes) {
      return (bytes + kAlignment - 1) / kAlignment * kAlignment;
    };
    x_row = static_cast<std::size_t>(dataset.sample_shape().elements()) * size_of(dataset.x_type());
    weight_row = dataset.has_weight() ? sizeof(float) : 0;
    y_row = dataset.row_bytes() - x_row - weight_row;
    y_begin = aligned(rows * x_row);
    weight_begin = y_begin + aligned(rows * y_row);
    end = weight_begin + aligned(rows * weight_row);
  }
};

Shape target_shape(const Dataset& dataset, std::int64_t rows) {
  return dataset.target() == TargetKind::kClass ? Shape{rows}
                                                : Shape{rows, dataset.target_columns()};
}

DType target_type(const Dataset& dataset) {
  return dataset.target() == TargetKind::kClass ? DType::kInt64 : DType::kFloat32;
}

std::int64_t block_rows(const Dataset& dataset) {
  const auto rows = static_cast<std::int64_t>(kBlockBytes / dataset.row_bytes());
  return std::clamp<std::int64_t>(rows, 1, dataset.rows());
}

// Calls visit(rows) for all rows in file order, a block at a time, from several threads. Of several
// errors the one of the first rows is thrown, whoever was faster: blocks are begun in their order.
void for_each_block(const Dataset& dataset, int threads,
                    const std::function<void(std::span<const std::int64_t>)>& visit) {
  const std::int64_t rows = dataset.rows(), most = block_rows(dataset);
  std::atomic<std::int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  std::int64_t bad_block = std::numeric_limits<std::int64_t>::max();
  const auto work = [&] {
    std::vector<std::int64_t> block;
    for (std::int64_t index = next++; index * most < rows; index = next++) {
      block.resize(static_cast<std::size_t>(std::min(most, rows - index * most)));
      std::iota(block.begin(), block.end(), index * most);
      try {
        visit(block);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (index < bad_block) {
          bad_block = index;
          error = std::current_exception();
        }
        next = rows;  // later blocks are not begun
      }
    }
  };
  const std::int64_t blocks = (rows + most - 1) / most;
  std::vector<std::thread> helpers;
  for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, blocks); ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  if (error) std::rethrow_exception(error);
}

class ResidentDataset final : public Dataset {
 public:
  ResidentDataset(const Dataset& dataset, std::span<const std::byte> memory,
                  std::shared_ptr<void> keep_alive)
      : layout_(dataset),
        memory_(memory),
        keep_alive_(std::move(keep_alive)),
        info_(dataset.info()),
        rows_(dataset.rows()),
        sample_(dataset.sample_shape()),
        x_type_(dataset.x_type()),
        target_(dataset.target()),
        target_columns_(dataset.target_columns()),
        known_classes_(target_ == TargetKind::kClass ? dataset.class_count() : 0),
        has_weight_(dataset.has_weight()),
        access_("in memory, from a file " + dataset.access()) {
    LOCKSTEP_CHECK(memory.size() >= layout_.end, "{} bytes cannot hold {}", memory.size(),
                   layout_.end);
  }

  const DatasetInfo& info() const override { return info_; }
  std::int64_t rows() const override { return rows_; }
  Shape sample_shape() const override { return sample_; }
  DType x_type() const override { return x_type_; }
  TargetKind target() const override { return target_; }
  std::int64_t target_columns() const override { return target_columns_; }
  std::int64_t class_count() const override { return known_classes_; }
  bool has_weight() const override { return has_weight_; }
  std::string access() const override { return access_; }
  std::size_t row_bytes() const override {
    return layout_.x_row + layout_.y_row + layout_.weight_row;
  }
  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
            Tensor& weight) const override {
    gather(rows, 0, layout_.x_row, x);
    if (target_ != TargetKind::kNone) gather(rows, layout_.y_begin, layout_.y_row, y);
    if (has_weight_) gather(rows, layout_.weight_begin, layout_.weight_row, weight);
  }
  std::string checksum() const override {
    return info_.checksum.empty() ? contents_checksum(*this) : info_.checksum;
  }

 private:
  void gather(std::span<const std::int64_t> rows, std::size_t begin, std::size_t row_bytes,
              Tensor& to) const {
    LOCKSTEP_CHECK(to.bytes() == rows.size() * row_bytes, "{} bytes for {} rows of {}", to.bytes(),
                   rows.size(), row_bytes);
    std::byte* out = to.raw();
    for (std::int64_t row : rows) {
      LOCKSTEP_CHECK(0 <= row && row < rows_, "row {} of {} rows", row, rows_);
      std::memcpy(out, memory_.data() + begin + static_cast<std::size_t>(row) * row_bytes,
                  row_bytes);
      out += row_bytes;
    }
  }

  Layout layout_;
  std::span<const std::byte> memory_;
  std::shared_ptr<void> keep_alive_;
  DatasetInfo info_;
  std::int64_t rows_;
  Shape sample_;
  DType x_type_;
  TargetKind target_;
  std::int64_t target_columns_;
  std::int64_t known_classes_;
  bool has_weight_;
  std::string access_;
};

}  // namespace

std::size_t resident_bytes(const Dataset& dataset) {
  return Layout(dataset).end;
}

void fill_resident(const Dataset& dataset, std::span<std::byte> memory, int threads) {
  const Layout layout(dataset);
  LOCKSTEP_CHECK(memory.size() >= layout.end, "{} bytes cannot hold {}", memory.size(), layout.end);
  const auto part = [&](std::size_t begin, std::size_t row_bytes, std::int64_t first_row,
                        const Shape& shape, DType type) {
    std::byte* start = memory.data() + begin + static_cast<std::size_t>(first_row) * row_bytes;
    return Tensor({std::shared_ptr<void>(), start}, shape, type, nullptr);
  };
  for_each_block(dataset, threads, [&](std::span<const std::int64_t> rows) {
    const auto count = static_cast<std::int64_t>(rows.size());
    Tensor x = part(0, layout.x_row, rows.front(), dataset.sample_shape().with_rows(count),
                    dataset.x_type());
    Tensor y, weight;
    if (dataset.target() != TargetKind::kNone)
      y = part(layout.y_begin, layout.y_row, rows.front(), target_shape(dataset, count),
               target_type(dataset));
    if (dataset.has_weight())
      weight =
          part(layout.weight_begin, layout.weight_row, rows.front(), Shape{count}, DType::kFloat32);
    dataset.read(rows, x, y, weight);
  });
}

std::unique_ptr<Dataset> resident_dataset(const Dataset& dataset, std::span<const std::byte> memory,
                                          std::shared_ptr<void> keep_alive) {
  return std::make_unique<ResidentDataset>(dataset, memory, std::move(keep_alive));
}

}  // namespace lockstep
