// Dataset::open: finds x, y and weight in an HDF5 file, decides what their types become, and reads
// rows of them with the checks that bad input needs.
#include "io/dataset/dataset.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <utility>

#include "io/dataset/dataset_checks.h"
#include "io/dataset/joined_dataset.h"
#include "io/dataset/row_reader.h"
#include "io/hdf5/hdf5.h"

namespace lockstep {

namespace {

constexpr std::int64_t kFormat = 1;            // of lockstep files that this version understands
constexpr std::int64_t kOneHotProbe = 1024;    // rows that decide whether a matrix is one-hot
constexpr std::int64_t kLabelBlock = 1 << 16;  // rows read at once to find the largest label
constexpr double kNoticeableAmplification = 4;
constexpr std::int64_t kMostClasses = std::int64_t{1} << 31;

using FilePointer = std::shared_ptr<const FileReader>;

DatasetInfo read_info(const hdf5::File& file) {
  const auto format = file.numbers("/", "lockstep_format");
  if (!format) return {};
  if (format->size() != 1 || format->front() != kFormat)
    throw Error("{}: this file is of format {}, and this version reads format {}; prepare it again",
                file.path(), fmt::join(*format, ", "), kFormat);
  DatasetInfo info;
  info.task = file.text("/", "task").value_or("");
  info.classes = file.texts("/", "classes").value_or(std::vector<std::string>{});
  info.mean = file.numbers("/", "mean").value_or(std::vector<double>{});
  info.std = file.numbers("/", "std").value_or(std::vector<double>{});
  info.source = file.text("/", "source").value_or("");
  info.checksum = file.text("/", "checksum").value_or("");
  info.encoding = file.text("/", "encoding").value_or("");
  if (!info.mean.empty() && file.has_dataset("/train/x"))
    info.statistics_rows = file.dataset("/train/x").rows();
  return info;
}

std::string full_path(const std::string& group, const std::string& name) {
  if (name.starts_with('/')) return name;
  const std::string inside = group.empty() || group.starts_with('/') ? group : "/" + group;
  return inside.ends_with('/') ? inside + name : inside + "/" + name;
}

// y or weight. Absent is fine under the usual name, not under one that somebody chose.
std::optional<hdf5::Dataset> find_optional(const hdf5::File& file, const std::string& group,
                                           const std::string& name, const std::string& usual) {
  const std::string path = full_path(group, name);
  if (name.empty() || (name == usual && !file.has_dataset(path))) return std::nullopt;
  return file.dataset(path);
}

void check_number(const hdf5::Dataset& dataset) {
  if (!dataset.type().is_integer() && !dataset.type().is_float())
    throw Error("{}: elements must be integers or floats, not {}", dataset.where(),
                dataset.type().name);
}

std::string shape_text(const hdf5::Dataset& dataset) {
  return fmt::format("({})", fmt::join(dataset.sizes(), ", "));
}

void check_shape(const hdf5::Dataset& dataset, std::size_t most_axes, const char* wanted) {
  const std::size_t axes = dataset.sizes().size();
  if (axes < 1 || axes > most_axes)
    throw Error("{}: the shape {} has {} axes; {}", dataset.where(), shape_text(dataset), axes,
                wanted);
  if (dataset.rows() == 0) throw Error("{}: there are no rows", dataset.where());
  if (dataset.row_elements() == 0)
    throw Error("{}: the rows of shape {} are empty", dataset.where(), shape_text(dataset));
}

void check_rows(const hdf5::Dataset& dataset, const hdf5::Dataset& x) {
  if (dataset.rows() != x.rows())
    throw Error("{}: {} rows, but '{}' has {}; both need one row a sample", dataset.where(),
                dataset.rows(), x.path(), x.rows());
}

DType type_of_x(const hdf5::ElementType& type) {
  if (type.native == DType::kUInt8) return DType::kUInt8;
  return type.is_integer() && type.bytes >= 4 ? DType::kInt64 : DType::kFloat32;
}

struct Input {
  RowReader reader;
  Shape sample;
};

Input open_x(const hdf5::Dataset& dataset, const FilePointer& file, DataSource::Axes axes,
             std::size_t cache) {
  check_number(dataset);
  check_shape(dataset, Shape::kMaxRank, "x needs rows first and at most 5 axes a sample");
  const DType type = type_of_x(dataset.type());
  const std::span<const std::int64_t> sizes = dataset.sizes();
  const Shape sample(sizes.subspan(1));
  if (sample.rank() == 0) return {RowReader(dataset, file, type, cache), Shape{1}};
  if (sample.rank() == 2 && type == DType::kUInt8)
    return {RowReader(dataset, file, type, cache), Shape{sample[0], sample[1], 1}};
  if (sample.rank() == 3 && axes == DataSource::Axes::kNchw)
    return {RowReader(dataset, file, type, {sample[0], sample[1] * sample[2]}, cache),
            Shape{sample[1], sample[2], sample[0]}};
  return {RowReader(dataset, file, type, cache), sample};
}

struct Target {
  RowReader reader;
  TargetKind kind;
  std::int64_t columns;  // in the file
  bool one_hot;
};

bool probe_one_hot(const hdf5::Dataset& dataset) {
  const std::int64_t count = std::min(dataset.rows(), kOneHotProbe);
  std::vector<std::int64_t> matrix(static_cast<std::size_t>(count * dataset.row_elements()));
  dataset.read_rows(0, count, DType::kInt64, matrix.data());
  return is_one_hot(dataset.row_elements(), matrix);
}

Target open_y(const hdf5::Dataset& dataset, const FilePointer& file, const std::string& task,
              std::size_t cache) {
  check_number(dataset);
  check_shape(dataset, 2, "y needs (N) or (N, K)");
  const std::int64_t columns = dataset.row_elements();
  const bool integer = dataset.type().is_integer() && task != "regression";
  const bool one_hot = integer && columns > 1 && probe_one_hot(dataset);
  if (integer && (columns == 1 || one_hot))
    return {RowReader(dataset, file, DType::kInt64, cache), TargetKind::kClass, columns, one_hot};
  return {RowReader(dataset, file, DType::kFloat32, cache), TargetKind::kValues, columns, false};
}

RowReader open_weight(const hdf5::Dataset& dataset, const FilePointer& file, std::size_t cache) {
  check_number(dataset);
  check_shape(dataset, 2, "weight needs (N)");
  if (dataset.row_elements() != 1)
    throw Error("{}: the shape {} has {} weights a row; one is needed", dataset.where(),
                shape_text(dataset), dataset.row_elements());
  return RowReader(dataset, file, DType::kFloat32, cache);
}

void check_tensor(const Tensor& tensor, const Shape& shape, DType type, const char* name) {
  LOCKSTEP_CHECK(tensor.defined() && tensor.shape() == shape && tensor.dtype() == type,
                 "{} must be {} {} to be read into", name, name_of(type), shape.to_string());
}

class FileDataset final : public Dataset {
 public:
  FileDataset(const DataSource& source, DatasetInfo info, Input x, std::optional<Target> y,
              std::optional<RowReader> weight)
      : info_(std::move(info)),
        x_(std::move(x)),
        y_(std::move(y)),
        weight_(std::move(weight)),
        known_classes_(source.classes),
        rule_(source.targets) {
    if (known_classes_ == 0) known_classes_ = static_cast<std::int64_t>(info_.classes.size());
    if (known_classes_ == 0 && y_ && y_->one_hot) known_classes_ = y_->columns;
    if (y_) y_->reader.keep_if_small();
    if (weight_) weight_->keep_if_small();
  }

  const DatasetInfo& info() const override { return info_; }
  std::int64_t rows() const override { return x_.reader.dataset().rows(); }
  Shape sample_shape() const override { return x_.sample; }
  DType x_type() const override { return x_.reader.type(); }
  TargetKind target() const override { return y_ ? y_->kind : TargetKind::kNone; }
  std::int64_t target_columns() const override {
    return target() == TargetKind::kValues ? y_->columns : 1;
  }
  std::int64_t class_count() const override;
  bool has_weight() const override { return weight_.has_value(); }
  std::string access() const override { return x_.reader.access(); }
  std::string shuffle_warning(std::int64_t rows) const override;
  bool packed() const override { return x_.reader.chunks() && x_.reader.chunks()->band_rows() > 1; }
  std::int64_t chunk_of(std::int64_t row) const override {
    return packed() ? row / x_.reader.chunks()->band_rows() : row;
  }
  std::size_t cache_bytes() const override;
  std::size_t row_bytes() const override;
  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
            Tensor& weight) const override;
  std::string checksum() const override {
    return info_.checksum.empty() ? contents_checksum(*this) : info_.checksum;
  }

 private:
  void read_labels(std::span<const std::int64_t> rows, std::span<std::int64_t> labels) const;
  void read_target(std::span<const std::int64_t> rows, Tensor& y) const;

  DatasetInfo info_;
  Input x_;
  std::optional<Target> y_;
  std::optional<RowReader> weight_;
  std::int64_t known_classes_;  // 0: unknown
  TargetRule rule_;
};

std::size_t FileDataset::cache_bytes() const {
  std::size_t bytes = 0;
  const auto add = [&](const RowReader& reader) {
    if (reader.chunks() != nullptr) bytes += reader.chunks()->cache_bytes();
  };
  add(x_.reader);
  if (y_) add(y_->reader);
  if (weight_) add(*weight_);
  return bytes;
}

std::size_t FileDataset::row_bytes() const {
  std::size_t bytes = x_.reader.row_bytes();
  if (y_) bytes += y_->one_hot ? sizeof(std::int64_t) : y_->reader.row_bytes();
  if (weight_) bytes += weight_->row_bytes();
  return bytes;
}

std::string FileDataset::shuffle_warning(std::int64_t rows) const {
  const double times = x_.reader.chunks() == nullptr ? 1 : x_.reader.chunks()->amplification(rows);
  if (times < kNoticeableAmplification) return "";
  const std::string& file = x_.reader.dataset().file();
  return fmt::format(
      "{}: in shuffled order its {} are unpacked again for every few rows, {:.0f} times the bytes "
      "that are used; this cures it: lockstep prepare repack {} -o {}",
      x_.reader.where(), x_.reader.dataset().layout(), times, file,
      std::filesystem::path(file).replace_extension(".repacked.h5").string());
}

void FileDataset::read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
                       Tensor& weight) const {
  const auto count = static_cast<std::int64_t>(rows.size());
  check_tensor(x, x_.sample.with_rows(count), x_type(), "x");
  x_.reader.read(rows, x.raw());
  if (x_type() == DType::kFloat32)
    check_rows_finite(x_.reader.where(), rows, x_.sample, x.span<float>());
  if (y_) read_target(rows, y);
  if (weight_) {
    check_tensor(weight, Shape{count}, DType::kFloat32, "weight");
    weight_->read(rows, weight.raw());
    check_weights(weight_->where(), rows, weight.span<float>());
  }
  if (target() == TargetKind::kValues)
    check_targets(y_->reader.where(), rows, y_->columns, rule_, y.span<float>(),
                  weight_ ? weight.span<float>() : std::span<float>());
}

void FileDataset::read_target(std::span<const std::int64_t> rows, Tensor& y) const {
  const auto count = static_cast<std::int64_t>(rows.size());
  if (y_->kind == TargetKind::kClass) {
    check_tensor(y, Shape{count}, DType::kInt64, "y");
    read_labels(rows, y.span<std::int64_t>());
    return;
  }
  check_tensor(y, Shape{count, y_->columns}, DType::kFloat32, "y");
  y_->reader.read(rows, y.raw());
  check_rows_finite(y_->reader.where(), rows, Shape{y_->columns}, y.span<float>());
}

void FileDataset::read_labels(std::span<const std::int64_t> rows,
                              std::span<std::int64_t> labels) const {
  const std::string& where = y_->reader.where();
  if (y_->one_hot) {
    std::vector<std::int64_t> matrix(rows.size() * static_cast<std::size_t>(y_->columns));
    y_->reader.read(rows, std::as_writable_bytes(std::span(matrix)).data());
    one_hot_to_labels(where, rows, y_->columns, matrix, labels);
  } else {
    y_->reader.read(rows, std::as_writable_bytes(labels).data());
  }
  check_labels(where, rows, known_classes_, labels);
}

std::int64_t FileDataset::class_count() const {
  LOCKSTEP_CHECK(target() == TargetKind::kClass, "only class labels can be counted");
  if (known_classes_ > 0) return known_classes_;
  std::int64_t largest = 0;
  std::vector<std::int64_t> block, labels;
  for (std::int64_t begin = 0; begin < rows(); begin += kLabelBlock) {
    block.resize(static_cast<std::size_t>(std::min(kLabelBlock, rows() - begin)));
    labels.resize(block.size());
    std::iota(block.begin(), block.end(), begin);
    read_labels(block, labels);
    largest = std::max(largest, *std::max_element(labels.begin(), labels.end()));
  }
  if (largest >= kMostClasses)
    throw Error("{}: the largest label is {}; labels count the classes from 0", y_->reader.where(),
                largest);
  return largest + 1;
}

std::unique_ptr<Dataset> open_file(const DataSource& source, const std::string& path) {
  const hdf5::File file = hdf5::File::open(path);
  const auto reader = std::make_shared<const FileReader>(path);
  DatasetInfo info = read_info(file);
  const hdf5::Dataset x = file.dataset(full_path(source.group, source.x));
  // y and weight are small beside x.
  const std::size_t share = source.cache_bytes / 8;
  Input input = open_x(x, reader, source.axes, source.cache_bytes - 2 * share);
  std::optional<Target> target;
  if (const auto y = find_optional(file, source.group, source.y, "y")) {
    target = open_y(*y, reader, info.task, share);
    check_rows(*y, x);
  }
  std::optional<RowReader> weights;
  if (const auto weight = find_optional(file, source.group, source.weight, "weight")) {
    weights = open_weight(*weight, reader, share);
    check_rows(*weight, x);
  }
  return std::make_unique<FileDataset>(source, std::move(info), std::move(input), std::move(target),
                                       std::move(weights));
}

}  // namespace

std::unique_ptr<Dataset> Dataset::open(const DataSource& source) {
  const std::vector<std::string> files = source.file.expand();
  if (files.size() == 1) return open_file(source, files.front());
  DataSource part = source;
  part.cache_bytes = source.cache_bytes / files.size();
  std::vector<NamedDataset> parts;
  for (const std::string& file : files) {
    parts.push_back({file, open_file(part, file)});
    // Names of classes in one file bound the labels of those after it.
    if (part.classes == 0)
      part.classes = static_cast<std::int64_t>(parts.back().dataset->info().classes.size());
  }
  return join_datasets(std::move(parts));
}

Tensor host_tensor(const Shape& shape, DType type) {
  constexpr std::align_val_t kAlignment{64};
  const std::size_t bytes =
      std::max<std::size_t>(static_cast<std::size_t>(shape.elements()) * size_of(type), 1);
  std::shared_ptr<std::byte> storage(
      static_cast<std::byte*>(::operator new(bytes, kAlignment)),
      [](std::byte* memory) { ::operator delete(memory, kAlignment); });
  return Tensor(std::move(storage), shape, type, nullptr);
}

}  // namespace lockstep
