// Rows are read, summed up and written in blocks; then the file is read once more, for the standard
// deviations and the checksum that must be the one of what was written.
#include "io/dataset/dataset_writer.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>

#include "io/base/file.h"
#include "io/base/progress.h"
#include "io/dataset/channel_statistics.h"
#include "io/dataset/contents_checksum.h"
#include "io/dataset/row_names.h"
#include "io/hdf5/hdf5.h"

namespace lockstep {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{8} << 20;
constexpr std::int64_t kChunkBytes = std::int64_t{64} << 10;

using NamedPart = std::pair<std::string, const PartRows*>;

std::vector<NamedPart> parts_with_rows(const DatasetContents& contents) {
  std::vector<NamedPart> parts;
  for (const NamedPart& part :
       {NamedPart{"/train", &contents.train}, NamedPart{"/validation", &contents.validation},
        NamedPart{"/test", &contents.test}})
    if (!part.second->rows.empty()) parts.push_back(part);
  return parts;
}

std::int64_t channels_of(const RowLayout& layout) {
  return std::max<std::int64_t>(1, layout.sample.back());
}

std::int64_t chunk_rows_of(const RowLayout& layout, const DatasetWriteOptions& options) {
  if (options.chunk_rows > 0 || options.compress == 0) return options.chunk_rows;
  return std::max<std::int64_t>(1, kChunkBytes / static_cast<std::int64_t>(layout.x_bytes()));
}

void check_chunk(const RowLayout& layout, const DatasetWriteOptions& options) {
  const std::vector<std::int64_t>& sizes = options.chunk_sample;
  if (sizes.empty()) return;
  bool fits = options.chunk_rows > 0 && static_cast<int>(sizes.size()) == layout.sample.rank();
  for (std::size_t i = 0; fits && i < sizes.size(); ++i)
    fits = sizes[i] > 0 && sizes[i] <= layout.sample[static_cast<int>(i)];
  if (!fits)
    throw Error(
        "--chunk {},{}: a row of x is {}, so a chunk is a number of rows above 0, alone or "
        "followed "
        "by {} sizes of at most these",
        options.chunk_rows, fmt::join(sizes, ","), layout.sample.to_string(), layout.sample.rank());
}

// Rows that pass through memory at once: whole chunks, so that each is compressed once. A source
// may hold a second copy of them while it sorts what it reads.
std::int64_t block_rows(const PartRows& part, std::int64_t total_rows,
                        const DatasetWriteOptions& options) {
  const RowLayout& layout = part.source->layout();
  const auto row = static_cast<std::int64_t>(layout.row_bytes());
  const auto count = static_cast<std::int64_t>(part.rows.size());
  const std::int64_t chunk = std::clamp<std::int64_t>(chunk_rows_of(layout, options), 1, count);
  const std::int64_t lists = total_rows * static_cast<std::int64_t>(sizeof(std::int64_t));
  const auto kept = static_cast<std::int64_t>(options.source_memory);
  const std::int64_t least = kept + lists + 2 * chunk * row;
  const auto most = static_cast<std::int64_t>(
      std::min<std::uint64_t>(options.max_memory, std::uint64_t{1} << 62));
  if (most < least)
    throw Error(
        "--max-memory {}: {} bytes are needed, for two times {} of {} bytes each, and the order of "
        "{} rows{}",
        most, least, chunk == 1 ? "a row" : fmt::format("a chunk of {} rows", chunk), row,
        total_rows,
        kept == 0 ? "" : fmt::format(", beside {} that reading the source takes", kept));
  // Rows in another order are gathered from all over the source.
  const bool gathered = !std::is_sorted(part.rows.begin(), part.rows.end());
  std::int64_t budget = (most - kept - lists) / 2;
  if (!gathered && !part.source->gains_by_large_blocks()) budget = std::min(budget, kBlockBytes);
  return std::min(std::max<std::int64_t>(1, budget / row / chunk) * chunk, count);
}

void check_space(const std::string& path, std::int64_t bytes) {
  // HDF5 finds out late, after hours of preparing; so ask before.
  constexpr std::int64_t kMetadata = 1 << 20;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const std::uintmax_t free = std::filesystem::space(folder.empty() ? "." : folder).available;
  if (free < static_cast<std::uintmax_t>(bytes + kMetadata))
    throw Error(
        "{}: the disk is full: {} bytes are needed, {} are free; make room or write "
        "elsewhere",
        path, bytes + kMetadata, free);
}

void write_attributes(hdf5::File& file, const DatasetContents& contents) {
  file.set_numbers("/", "lockstep_format", std::array{1.0});
  file.set_text("/", "task", contents.info.task);
  file.set_texts("/", "classes", contents.info.classes);
  file.set_text("/", "source", contents.info.source);
  if (!contents.columns.empty()) file.set_texts("/", "columns", contents.columns);
  if (!contents.targets.empty()) file.set_texts("/", "targets", contents.targets);
  if (!contents.encoding.empty()) file.set_text("/", "encoding", contents.encoding);
  if (!contents.truth.empty()) file.set_numbers("/", "truth", contents.truth);
}

// One part; returns the checksum of what was written. `statistics`, where it is given, gets x.
std::string write_part(hdf5::File& file, const std::string& group, const PartRows& part,
                       std::int64_t block, const DatasetWriteOptions& options,
                       ChannelStatistics* statistics, Progress& progress) {
  const RowLayout& layout = part.source->layout();
  const auto count = static_cast<std::int64_t>(part.rows.size());
  hdf5::Dataset x = file.create_dataset(group + "/x", layout.sample.with_rows(count), layout.x_type,
                                        {.chunk_rows = chunk_rows_of(layout, options),
                                         .chunk_sample = options.chunk_sample,
                                         .deflate = options.compress});
  std::optional<hdf5::Dataset> y, weight;
  if (layout.target != TargetKind::kNone)
    y = file.create_dataset(group + "/y", layout.y_shape(count), layout.y_type());
  if (layout.weight) weight = file.create_dataset(group + "/weight", Shape{count}, DType::kFloat32);

  const RowBlock memory(layout, block);
  ContentsChecksum checksum(layout);
  for (std::int64_t begin = 0; begin < count; begin += block) {
    const std::int64_t rows = std::min(block, count - begin);
    const RowBlock values = memory.head(rows);
    part.source->read(std::span(part.rows).subspan(static_cast<std::size_t>(begin),
                                                   static_cast<std::size_t>(rows)),
                      values);
    x.write_rows(begin, rows, layout.x_type, values.x.raw());
    if (y) y->write_rows(begin, rows, layout.y_type(), values.y.raw());
    if (weight) weight->write_rows(begin, rows, DType::kFloat32, values.weight.raw());
    checksum.add(values);
    if (statistics != nullptr) statistics->add_to_mean(values.x);
    progress.advance(rows * static_cast<std::int64_t>(layout.row_bytes()));
  }
  if (const std::vector<std::string> names = part.source->names(part.rows); !names.empty())
    file.set_texts(group, kNamesAttribute, names);
  return checksum.text();
}

// The second pass over the training part, from the file that now holds it.
void add_variances(const hdf5::File& file, const RowLayout& layout, std::int64_t block,
                   ChannelStatistics& statistics) {
  const hdf5::Dataset x = file.dataset("/train/x");
  const Tensor memory = host_tensor(layout.sample.with_rows(block), layout.x_type);
  for (std::int64_t begin = 0; begin < x.rows(); begin += block) {
    const std::int64_t rows = std::min(block, x.rows() - begin);
    x.read_rows(begin, rows, layout.x_type, memory.raw());
    statistics.add_to_variance(memory.head(rows));
  }
}

}  // namespace

void check_output(const std::string& path, bool force) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (path.empty()) throw Error("name the file to write with -o FILE.h5");
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw Error("{}: there is no folder {}; make it first", path, folder.string());
  if (std::filesystem::exists(path) && !force)
    throw Error("{}: exists already; give another name, or --force to replace it", path);
}

void write_dataset(const std::string& path, const DatasetWriteOptions& options,
                   DatasetContents contents) {
  check_output(path, options.force);
  const std::vector<NamedPart> parts = parts_with_rows(contents);
  std::int64_t bytes = 0, total_rows = 0;
  for (const auto& [group, part] : parts) {
    const auto rows = static_cast<std::int64_t>(part->rows.size());
    total_rows += rows;
    bytes += rows * static_cast<std::int64_t>(part->source->layout().row_bytes());
  }
  check_chunk(contents.train.source->layout(), options);
  std::vector<std::int64_t> blocks;
  for (const auto& part : parts) blocks.push_back(block_rows(*part.second, total_rows, options));
  check_space(path, bytes);

  DatasetInfo& info = contents.info;
  const RowLayout& layout = contents.train.source->layout();
  std::optional<ChannelStatistics> statistics;
  if (info.mean.empty()) statistics.emplace(channels_of(layout));

  PendingFile pending(path);
  std::string checksum;
  {
    Progress progress("writing " + path, bytes);
    hdf5::File file = hdf5::File::create(pending.temporary());
    write_attributes(file, contents);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto& [group, part] = parts[i];
      const bool train = part == &contents.train;
      checksum += fmt::format("{} {} ", group,
                              write_part(file, group, *part, blocks[i], options,
                                         train && statistics ? &*statistics : nullptr, progress));
    }
    file.close();
  }
  hdf5::File written = hdf5::File::modify(pending.temporary());
  if (statistics) {
    add_variances(written, layout, blocks.front(), *statistics);
    info.mean = statistics->mean();
    info.std = statistics->std();
  }
  written.set_numbers("/", "mean", info.mean);
  written.set_numbers("/", "std", info.std);
  written.close();
  // Computed as anyone will compute it who opens the file: through Dataset, which checks labels
  // too.
  const std::string expected = checksum_text(lockstep::checksum(checksum));
  if (file_checksum(pending.temporary()) != expected)
    throw Error("{}: read back, it differs from what was written; check the disk", path);
  hdf5::File checked = hdf5::File::modify(pending.temporary());
  checked.set_text("/", "checksum", expected);
  checked.close();
  pending.commit();
}

}  // namespace lockstep
