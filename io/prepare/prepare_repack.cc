// An HDF5 file rewritten as ours: /train, /validation and /test of one file, or arrays by their
// paths.
#include <algorithm>
#include <filesystem>

#include "io/dataset/row_names.h"
#include "io/hdf5/hdf5.h"
#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

using DatasetPointer = std::shared_ptr<const Dataset>;

struct Source {
  DatasetPointer train, validation, test;  // train is always there

  std::vector<DatasetPointer> parts() const {
    std::vector<DatasetPointer> there;
    for (const DatasetPointer& part : {train, validation, test})
      if (part) there.push_back(part);
    return there;
  }
};

// Of --max-memory, for what is unpacked of the source and kept: of each of at most three parts.
constexpr std::uint64_t kCacheShare = 4, kMostParts = 3;

DataSource arrays(const RepackOptions& options, const std::string& group, std::size_t cache_bytes) {
  DataSource source{.file = options.file, .group = group};
  source.cache_bytes = cache_bytes;
  source.axes = options.axes;
  if (!options.x.empty()) source.x = options.x;
  if (!options.y.empty()) source.y = options.y;
  if (!options.weight.empty()) source.weight = options.weight;
  return source;
}

// Parts by their groups, under the names that were given or x, y, weight; without groups the root.
Source open_source(const RepackOptions& options, std::uint64_t max_memory) {
  const std::size_t cache =
      std::min<std::uint64_t>(kChunkCacheBytes, max_memory / kCacheShare / kMostParts);
  const hdf5::File file = hdf5::File::open(options.file);
  const auto open = [&](const DataSource& of) { return DatasetPointer(Dataset::open(of)); };
  const bool absolute = options.x.starts_with('/');
  const auto part = [&](const char* group) {
    return !absolute && file.has_group(group) ? open(arrays(options, group, cache)) : nullptr;
  };
  Source source{part("/train"), part("/validation"), part("/test")};
  if (!source.train) source.train = open(arrays(options, "", cache));
  if (options.test_x.empty()) return source;
  if (source.test) throw Error("{}: has a group /test; leave out --test-x", options.file);
  RepackOptions test = options;
  test.x = options.test_x;
  test.y = options.test_y;
  test.weight = options.test_weight;
  source.test = open(arrays(test, "", cache));
  return source;
}

// The rows that are written share the memory with unpacked chunks of the source.
DatasetWriteOptions beside_chunks(const Source& source, const std::string& file,
                                  DatasetWriteOptions write) {
  for (const DatasetPointer& part : source.parts()) write.source_memory += part->cache_bytes();
  if (write.source_memory >= write.max_memory)
    throw Error(
        "{}: --max-memory {}: more than {} bytes are needed, for the chunks that hold a row", file,
        write.max_memory, write.source_memory);
  return write;
}

void check_alike(const Source& source, const std::string& file) {
  const RowLayout a = layout_of(*source.train);
  for (const DatasetPointer& part : source.parts()) {
    const RowLayout b = layout_of(*part);
    if (a.sample != b.sample || a.x_type != b.x_type || a.target != b.target ||
        a.target_columns != b.target_columns || a.weight != b.weight)
      throw Error(
          "{}: the training part holds {} samples of {}, another part {} samples of {}, or their "
          "targets or weights differ; the parts of a dataset are of one kind",
          file, name_of(a.x_type), a.sample.to_string(), name_of(b.x_type), b.sample.to_string());
  }
}

// What the file says of itself where it is ours, else what its arrays are.
DatasetContents describe(const Source& source, const RepackOptions& options) {
  const hdf5::File file = hdf5::File::open(options.file);
  DatasetContents contents;
  contents.info = source.train->info();
  contents.columns = file.texts("/", "columns").value_or(std::vector<std::string>{});
  contents.targets = file.texts("/", "targets").value_or(std::vector<std::string>{});
  contents.encoding = file.text("/", "encoding").value_or("");
  contents.truth = file.numbers("/", "truth").value_or(std::vector<double>{});
  if (file.numbers("/", "lockstep_format")) return contents;

  contents = {};
  contents.info.source =
      fmt::format("repack: {}", std::filesystem::path(options.file).filename().string());
  if (source.train->target() == TargetKind::kNone) return contents;
  const bool classes = source.train->target() == TargetKind::kClass;
  contents.info.task = classes ? "classification" : "regression";
  std::int64_t count = 0;
  if (classes)
    for (const DatasetPointer& part : source.parts()) count = std::max(count, part->class_count());
  for (std::int64_t label = 0; label < count; ++label)
    contents.info.classes.push_back(std::to_string(label));
  return contents;
}

// A file that asks for its columns as they are keeps asking; otherwise rows that leave the training
// part leave its mean too.
void update_statistics(DatasetInfo& info, bool train_changes) {
  const auto all = [](const std::vector<double>& values, double value) {
    return std::all_of(values.begin(), values.end(), [&](double v) { return v == value; });
  };
  if (train_changes && !(all(info.mean, 0) && all(info.std, 1))) {
    info.mean.clear();
    info.std.clear();
  }
}

// The rows of a group, with their names where it keeps them.
std::shared_ptr<RowSource> named_rows(const DatasetPointer& dataset, const RepackOptions& options,
                                      const char* group) {
  std::vector<std::string> names;
  if (!options.x.starts_with('/')) names = row_names({.file = options.file, .group = group});
  if (static_cast<std::int64_t>(names.size()) != dataset->rows()) names.clear();
  return rows_of(dataset, std::move(names));
}

PartRows whole(const DatasetPointer& dataset, const RepackOptions& options, const char* group) {
  return {named_rows(dataset, options, group), ascending_rows(dataset->rows())};
}

// In an order of its own for each part, keyed by the seed.
void shuffle(PartRows& part, std::uint64_t seed) {
  const std::vector<std::int64_t> order =
      shuffled_rows(static_cast<std::int64_t>(part.rows.size()), seed);
  std::vector<std::int64_t> rows(part.rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    rows[i] = part.rows[static_cast<std::size_t>(order[i])];
  part.rows = std::move(rows);
}

}  // namespace

void prepare_repack(const RepackOptions& options, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  if (!options.test_y.empty() && options.test_x.empty())
    throw Error("--test-y: there is no --test-x for it");
  const Source source = open_source(options, common.write.max_memory);
  check_alike(source, options.file);
  if (common.validation.of(source.train->rows()) > 0 && source.validation)
    throw Error("{}: has a validation part of its own ({} rows); leave out --validation",
                options.file, source.validation->rows());
  if (common.test && source.test)
    throw Error("{}: has a test part of its own ({} rows); leave out --test", options.file,
                source.test->rows());

  DatasetContents contents = describe(source, options);
  const std::shared_ptr<RowSource> train = named_rows(source.train, options, "/train");
  Split split = plan_split(*train, common);
  update_statistics(contents.info, !split.validation.empty() || !split.test.empty());
  contents.train = {train, std::move(split.train)};
  contents.validation = source.validation ? whole(source.validation, options, "/validation")
                                          : PartRows{train, std::move(split.validation)};
  contents.test =
      source.test ? whole(source.test, options, "/test") : PartRows{train, std::move(split.test)};
  if (options.shuffle)
    for (PartRows* part : {&contents.train, &contents.validation, &contents.test})
      shuffle(*part, common.seed);
  write_dataset(common.output, beside_chunks(source, options.file, common.write),
                std::move(contents));
}

}  // namespace lockstep
