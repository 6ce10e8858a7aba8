// Values are written in blocks, for the progress bar; then everything is read back and compared.
#include "io/dataset/dataset_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "io/base/file.h"
#include "io/hdf5/hdf5.h"
#include "io/base/progress.h"

namespace lockstep {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{4} << 20;

using NamedSplit = std::pair<std::string, const SplitData*>;

std::vector<NamedSplit> splits_with_rows(const DatasetContents& contents) {
  std::vector<NamedSplit> splits;
  for (const NamedSplit& split :
       {NamedSplit{"/train", &contents.train}, NamedSplit{"/validation", &contents.validation},
        NamedSplit{"/test", &contents.test}})
    if (split.second->rows() > 0) splits.push_back(split);
  return splits;
}

std::vector<std::pair<std::string, const Tensor*>> arrays_of(const SplitData& split) {
  std::vector<std::pair<std::string, const Tensor*>> arrays = {{"x", &split.x}, {"y", &split.y}};
  if (split.weight.defined()) arrays.emplace_back("weight", &split.weight);
  return arrays;
}

std::int64_t rows_per_block(const Tensor& tensor) {
  const auto row =
      static_cast<std::int64_t>(tensor.bytes()) / std::max<std::int64_t>(1, tensor.rows());
  return std::max<std::int64_t>(1, kBlockBytes / std::max<std::int64_t>(1, row));
}

void write_array(hdf5::File& file, const std::string& path, const Tensor& tensor,
                 Progress& progress) {
  hdf5::Dataset dataset = file.create_dataset(path, tensor.shape(), tensor.dtype());
  const std::int64_t step = rows_per_block(tensor);
  for (std::int64_t row = 0; row < tensor.rows(); row += step) {
    const Tensor block = tensor.slice(row, std::min(row + step, tensor.rows()));
    dataset.write_rows(row, block.rows(), block.dtype(), block.raw());
    progress.advance(static_cast<std::int64_t>(block.bytes()));
  }
}

// What the file holds now, through the same library that others will read it with.
void check_written(const std::string& path, const std::vector<NamedSplit>& splits,
                   Progress& progress) {
  const hdf5::File file = hdf5::File::open(path);
  for (const auto& [group, split] : splits)
    for (const auto& [name, tensor] : arrays_of(*split)) {
      const hdf5::Dataset dataset = file.dataset(group + "/" + name);
      const std::int64_t step = rows_per_block(*tensor);
      const Tensor read =
          host_tensor(tensor->shape().without_rows().with_rows(step), tensor->dtype());
      for (std::int64_t row = 0; row < tensor->rows(); row += step) {
        const Tensor block = tensor->slice(row, std::min(row + step, tensor->rows()));
        dataset.read_rows(row, block.rows(), block.dtype(), read.raw());
        if (std::memcmp(block.raw(), read.raw(), block.bytes()) != 0)
          throw Error("{}: read back, it differs from what was written; check the disk",
                      dataset.where());
        progress.advance(static_cast<std::int64_t>(block.bytes()));
      }
    }
}

// Mean and biased standard deviation in two passes, each channel's sum in file order.
template <typename T>
ChannelStatistics statistics_of(const Tensor& x, std::size_t channels, double scale) {
  const std::span<const T> values = x.span<T>();
  const double count = static_cast<double>(values.size() / channels);
  std::vector<double> mean(channels), variance(channels);
  std::vector<bool> constant(channels, true);
  for (std::size_t i = 0; i < values.size(); i += channels)
    for (std::size_t c = 0; c < channels; ++c) mean[c] += static_cast<double>(values[i + c]);
  for (double& m : mean) m /= count;
  for (std::size_t i = 0; i < values.size(); i += channels)
    for (std::size_t c = 0; c < channels; ++c) {
      const double difference = static_cast<double>(values[i + c]) - mean[c];
      variance[c] += difference * difference;
      if (values[i + c] != values[c]) constant[c] = false;
    }
  for (std::size_t c = 0; c < channels; ++c) {
    mean[c] *= scale;
    // Asked of the values: the rounding of the mean can leave a constant channel a tiny variance.
    variance[c] = constant[c] ? 1.0 : std::sqrt(variance[c] / count) * scale;
  }
  return {std::move(mean), std::move(variance)};
}

void check_space(const std::string& path, std::int64_t bytes) {
  // Once a disk has filled up under it, HDF5 1.10 crashes as the program ends; so ask before.
  constexpr std::int64_t kMetadata = 1 << 20;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const std::uintmax_t free = std::filesystem::space(folder.empty() ? "." : folder).available;
  if (free < static_cast<std::uintmax_t>(bytes + kMetadata))
    throw Error(
        "{}: the disk is full: {} bytes are needed, {} are free; make room or write "
        "elsewhere",
        path, bytes + kMetadata, free);
}

}  // namespace

ChannelStatistics channel_statistics(const Tensor& x) {
  const auto channels = static_cast<std::size_t>(x.shape().rank() > 1 ? x.shape().back() : 1);
  if (x.elements() == 0) return {std::vector(channels, 0.0), std::vector(channels, 1.0)};
  switch (x.dtype()) {
    case DType::kUInt8:
      return statistics_of<std::uint8_t>(x, channels, 1.0 / 255.0);
    case DType::kFloat32:
      return statistics_of<float>(x, channels, 1.0);
    case DType::kInt64:
      return statistics_of<std::int64_t>(x, channels, 1.0);
    default:
      throw Error("x of a dataset is uint8, float32 or int64, not {}", name_of(x.dtype()));
  }
}

void check_output(const std::string& path, bool force) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (path.empty()) throw Error("name the file to write with -o FILE.h5");
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw Error("{}: there is no folder {}; make it first", path, folder.string());
  if (std::filesystem::exists(path) && !force)
    throw Error("{}: exists already; give another name, or --force to replace it", path);
}

void write_dataset(const std::string& path, bool force, DatasetContents contents) {
  check_output(path, force);
  const std::vector<NamedSplit> splits = splits_with_rows(contents);
  std::int64_t bytes = 0;
  for (const auto& split : splits)
    for (const auto& array : arrays_of(*split.second))
      bytes += static_cast<std::int64_t>(array.second->bytes());
  DatasetInfo& info = contents.info;
  if (info.mean.empty()) {
    const ChannelStatistics statistics = channel_statistics(contents.train.x);
    info.mean = statistics.mean;
    info.std = statistics.std;
  }
  check_space(path, bytes);
  Progress progress("writing " + path, 2 * bytes);
  PendingFile pending(path);
  hdf5::File file = hdf5::File::create(pending.temporary());
  file.set_numbers("/", "lockstep_format", std::array{1.0});
  file.set_text("/", "task", info.task);
  file.set_texts("/", "classes", info.classes);
  file.set_numbers("/", "mean", info.mean);
  file.set_numbers("/", "std", info.std);
  file.set_text("/", "source", info.source);
  if (!contents.columns.empty()) file.set_texts("/", "columns", contents.columns);
  if (!contents.targets.empty()) file.set_texts("/", "targets", contents.targets);
  if (!contents.encoding.empty()) file.set_text("/", "encoding", contents.encoding);
  if (!contents.truth.empty()) file.set_numbers("/", "truth", contents.truth);
  for (const auto& [group, split] : splits)
    for (const auto& [name, tensor] : arrays_of(*split))
      write_array(file, group + "/" + name, *tensor, progress);
  file.close();
  check_written(pending.temporary(), splits, progress);
  // Computed as anyone will compute it who opens the file: through Dataset, which checks labels
  // too.
  const std::string checksum = file_checksum(pending.temporary());
  hdf5::File written = hdf5::File::modify(pending.temporary());
  written.set_text("/", "checksum", checksum);
  written.close();
  pending.commit();
}

}  // namespace lockstep
