// NumPy arrays: x, y and optionally weight, a file each, read row by row.
#include <algorithm>
#include <filesystem>
#include <optional>

#include "io/dataset/dataset_checks.h"
#include "io/formats/npy.h"
#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

std::string shape_text(const NpyReader& file) {
  return fmt::format("({})", fmt::join(file.sizes(), ", "));
}

void check_axes(const NpyReader& file, std::size_t most, const char* wanted) {
  if (file.sizes().empty() || file.sizes().size() > most)
    throw Error("{}: the shape {} has {} axes; {}", file.path(), shape_text(file),
                file.sizes().size(), wanted);
  if (file.rows() == 0 || file.row_elements() == 0)
    throw Error("{}: the array of shape {} is empty", file.path(), shape_text(file));
}

// What becomes of x: bytes stay, integers of 4 and 8 bytes are ids, everything else is float32; one
// column of (N), one channel of uint8 (N, H, W). The same as of an HDF5 file.
DType x_type(const NpyReader& file) {
  if (file.is_bytes()) return DType::kUInt8;
  return file.is_integer() && file.element_bytes() >= 4 ? DType::kInt64 : DType::kFloat32;
}

Shape sample_shape(const NpyReader& file) {
  const Shape sample(file.sizes().subspan(1));
  if (sample.rank() == 0) return Shape{1};
  if (sample.rank() == 2 && file.is_bytes()) return Shape{sample[0], sample[1], 1};
  return sample;
}

class NpyRows final : public RowSource {
 public:
  NpyRows(const std::string& x, const std::string& y, const std::string& weight, bool regression)
      : x_(x), y_(y) {
    check_axes(x_, Shape::kMaxRank, "x needs rows first and at most 5 axes a sample");
    check_axes(y_, 2, "y needs (N) or (N, K)");
    check_rows(y_);
    if (!weight.empty()) {
      weight_.emplace(weight);
      check_axes(*weight_, 2, "weight needs (N)");
      check_rows(*weight_);
      if (weight_->row_elements() != 1)
        throw Error("{}: the shape {} has {} weights a row; one is needed", weight_->path(),
                    shape_text(*weight_), weight_->row_elements());
    }
    one_hot_ = !regression && y_.row_elements() > 1;
    if (!regression && !y_.is_integer() && !one_hot_)
      throw Error(
          "{}: {} values are no class labels, which are integers; for values to be predicted give "
          "--task regression",
          y_.path(), y_.type_name());
    layout_ = {.rows = x_.rows(),
               .sample = sample_shape(x_),
               .x_type = x_type(x_),
               .target = regression ? TargetKind::kValues : TargetKind::kClass,
               .target_columns = regression ? y_.row_elements() : 1,
               .weight = weight_.has_value()};
  }

  const RowLayout& layout() const override { return layout_; }
  std::int64_t classes() const { return one_hot_ ? y_.row_elements() : 0; }  // 0: unknown

  void read(std::span<const std::int64_t> rows, const RowBlock& to) override {
    x_.read(rows, layout_.x_type, to.x.raw());
    if (layout_.x_type == DType::kFloat32)
      check_rows_finite(x_.path(), rows, layout_.sample, to.x.span<float>());
    if (layout_.target == TargetKind::kClass) {
      read_labels(rows, to.y.span<std::int64_t>());
    } else {
      y_.read(rows, DType::kFloat32, to.y.raw());
      check_rows_finite(y_.path(), rows, Shape{layout_.target_columns}, to.y.span<float>());
    }
    if (!weight_) return;
    weight_->read(rows, DType::kFloat32, to.weight.raw());
    check_weights(weight_->path(), rows, to.weight.span<float>());
  }

  std::vector<std::int64_t> labels() override {
    std::vector<std::int64_t> labels;
    if (layout_.target != TargetKind::kClass) return labels;
    labels.resize(static_cast<std::size_t>(layout_.rows));
    constexpr std::int64_t kBlockRows = 1 << 16;
    for_each_rows(layout_.rows, kBlockRows, [&](std::span<const std::int64_t> rows) {
      read_labels(rows,
                  std::span(labels).subspan(static_cast<std::size_t>(rows.front()), rows.size()));
    });
    return labels;
  }

 private:
  void check_rows(const NpyReader& file) const {
    if (file.rows() != x_.rows())
      throw Error("{}: {} rows, but {} has {}; both need one row a sample", file.path(),
                  file.rows(), x_.path(), x_.rows());
  }

  void read_labels(std::span<const std::int64_t> rows, std::span<std::int64_t> labels) {
    if (one_hot_ && y_.is_integer()) {
      const auto matrix = read_matrix<std::int64_t>(rows, DType::kInt64);
      one_hot_to_labels(y_.path(), rows, y_.row_elements(), matrix, labels);
    } else if (one_hot_) {
      std::ranges::copy(read_float_labels(rows), labels.begin());
    } else {
      y_.read(rows, DType::kInt64, std::as_writable_bytes(labels).data());
    }
    check_labels(y_.path(), rows, 0, labels);
  }

  template <typename T>
  std::vector<T> read_matrix(std::span<const std::int64_t> rows, DType type) const {
    std::vector<T> matrix(rows.size() * static_cast<std::size_t>(y_.row_elements()));
    y_.read(rows, type, std::as_writable_bytes(std::span(matrix)).data());
    return matrix;
  }

  // One-hot rows as np.eye() makes them.
  std::vector<std::int64_t> read_float_labels(std::span<const std::int64_t> rows) const {
    const auto matrix = read_matrix<float>(rows, DType::kFloat32);
    const auto columns = static_cast<std::size_t>(y_.row_elements());
    std::vector<std::int64_t> labels;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::span<const float> row = std::span(matrix).subspan(i * columns, columns);
      const auto one = std::ranges::find(row, 1.0F);
      if (one == row.end() || std::ranges::count(row, 0.0F) + 1 != std::ssize(row))
        throw Error(
            "{}: row {} of {} does not hold a single 1 and else 0, and so names no class; labels "
            "are integers (N) or one-hot rows; for values to be predicted give --task regression",
            y_.path(), rows[i], y_.type_name());
      labels.push_back(one - row.begin());
    }
    return labels;
  }

  NpyReader x_, y_;
  std::optional<NpyReader> weight_;
  bool one_hot_ = false;
  RowLayout layout_;
};

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

}  // namespace

void prepare_npy(const NpyOptions& options, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  if (options.test_x.empty() != options.test_y.empty())
    throw Error("name both --test-x and --test-y, or neither");
  if (!options.test_weight.empty() && options.test_x.empty())
    throw Error("--test-weight: there is no --test-x for it");
  const bool test = !options.test_x.empty();
  if (test && options.weight.empty() != options.test_weight.empty())
    throw Error("name both --weight and --test-weight, or neither");

  const auto rows =
      std::make_shared<NpyRows>(options.x, options.y, options.weight, options.regression);
  std::shared_ptr<NpyRows> test_rows;
  if (test) {
    test_rows = std::make_shared<NpyRows>(options.test_x, options.test_y, options.test_weight,
                                          options.regression);
    const RowLayout &a = rows->layout(), &b = test_rows->layout();
    if (a.sample != b.sample || a.x_type != b.x_type || a.target_columns != b.target_columns)
      throw Error("{} holds {} samples of {}, {} {} samples of {}; they belong to different sets",
                  options.x, name_of(a.x_type), a.sample.to_string(), options.test_x,
                  name_of(b.x_type), b.sample.to_string());
  }
  DatasetContents contents;
  contents.info.task = options.regression ? "regression" : "classification";
  contents.info.source = fmt::format("npy: {}, {}", file_name(options.x), file_name(options.y));
  if (test)
    contents.info.source +=
        fmt::format(", {}, {}", file_name(options.test_x), file_name(options.test_y));
  std::vector<LabelsOfFile> labels = {{options.y, rows->labels()}};
  if (test) labels.push_back({options.test_y, test_rows->labels()});
  if (!options.regression)
    contents.info.classes = name_classes(options.classes, rows->classes(), labels);
  write_parts(rows, plan_split(*rows, common), common, std::move(contents), test_rows);
}

}  // namespace lockstep
