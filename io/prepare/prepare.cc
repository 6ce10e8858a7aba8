// The steps that every kind shares: cutting into parts, naming classes, writing.
#include "io/prepare/prepare.h"

#include <algorithm>
#include <utility>

namespace lockstep {

Split plan_split(RowSource& rows, const PrepareOptions& common) {
  const Portion test = common.test.value_or(Portion{});
  const std::int64_t count = rows.layout().rows;
  std::vector<std::int64_t> labels;
  if (common.validation.of(count) > 0 || test.of(count) > 0) labels = rows.labels();
  return split_rows(count, labels, common.validation, test, common.seed);
}

void write_parts(std::shared_ptr<RowSource> rows, Split split, const PrepareOptions& common,
                 DatasetContents contents, std::shared_ptr<RowSource> test) {
  contents.train = {rows, std::move(split.train)};
  contents.validation = {rows, std::move(split.validation)};
  contents.test = {rows, std::move(split.test)};
  if (test) {
    if (common.test)
      throw Error("the source has a test part of its own ({} rows); leave out --test",
                  test->layout().rows);
    std::vector<std::int64_t> all = ascending_rows(test->layout().rows);
    contents.test = {std::move(test), std::move(all)};
  }
  write_dataset(common.output, common.write, std::move(contents));
}

void require_memory(const std::string& path, std::uint64_t bytes, const PrepareOptions& common) {
  if (bytes > common.write.max_memory)
    throw Error(
        "{}: this kind of file is held in memory as a whole, which needs {} bytes; --max-memory "
        "allows {}",
        path, bytes, common.write.max_memory);
}

std::vector<std::string> name_classes(const std::vector<std::string>& given, std::int64_t least,
                                      const std::vector<LabelsOfFile>& files) {
  constexpr std::int64_t kMostClasses = 1 << 20;
  std::vector<std::string> names = given;
  for (const auto& [file, labels] : files) {
    const auto largest = std::max_element(labels.begin(), labels.end());
    const std::int64_t count = std::max(least, largest == labels.end() ? 0 : *largest + 1);
    if (largest != labels.end() && *largest >= kMostClasses)
      throw Error("{}: label {} in row {}; labels count the classes from 0", file, *largest,
                  largest - labels.begin());
    if (!given.empty() && count > static_cast<std::int64_t>(given.size()))
      throw Error("{}: label {} in row {}, but {} classes are named", file, *largest,
                  largest - labels.begin(), given.size());
    if (given.empty())
      while (static_cast<std::int64_t>(names.size()) < count)
        names.push_back(std::to_string(names.size()));
  }
  return names;
}

}  // namespace lockstep
