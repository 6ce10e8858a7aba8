#include "io/dataset/joined_dataset.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "io/base/checksum.h"

namespace lockstep {

namespace {

std::string target_text(const Dataset& dataset) {
  switch (dataset.target()) {
    case TargetKind::kNone:
      return "no targets";
    case TargetKind::kClass:
      return "class labels";
    case TargetKind::kValues:
      return fmt::format("{} target values a row", dataset.target_columns());
  }
  return "";
}

std::string classes_text(const DatasetInfo& info) {
  return fmt::format("classes {}", fmt::join(info.classes, ", "));
}

void check_agreement(const NamedDataset& first, const NamedDataset& other) {
  const auto agree = [&](const std::string& a, const std::string& b) {
    if (a != b)
      throw Error("{} has {}, but {} has {}; files read as one dataset must agree", other.file, b,
                  first.file, a);
  };
  const Dataset &a = *first.dataset, &b = *other.dataset;
  const auto rows_text = [](const Dataset& dataset) {
    return fmt::format("rows of {} {}", name_of(dataset.x_type()),
                       dataset.sample_shape().to_string());
  };
  agree(rows_text(a), rows_text(b));
  agree(target_text(a), target_text(b));
  agree(a.has_weight() ? "weights" : "no weights", b.has_weight() ? "weights" : "no weights");
  const auto task_text = [](const DatasetInfo& info) { return "task " + info.task; };
  if (!a.info().task.empty() && !b.info().task.empty())
    agree(task_text(a.info()), task_text(b.info()));
  if (a.info().encoding != b.info().encoding)
    throw Error(
        "{} and {} encode the columns of their sources in different ways; prepare them from "
        "one table, or with the same columns and categories",
        first.file, other.file);
  if (!a.info().classes.empty() && !b.info().classes.empty())
    agree(classes_text(a.info()), classes_text(b.info()));
}

// The mean of all rows is the rows' share of each mean; the variance adds the spread of the means
// (law of total variance).
void pool_statistics(const std::vector<NamedDataset>& parts, DatasetInfo& joined) {
  const std::size_t channels = joined.mean.size();
  for (const NamedDataset& part : parts) {
    const DatasetInfo& info = part.dataset->info();
    if (info.mean.size() == channels && info.std.size() == channels && info.statistics_rows > 0)
      continue;
    joined.mean.clear();
    joined.std.clear();
    return;
  }
  const auto same = [&](const NamedDataset& part) {
    const DatasetInfo& info = part.dataset->info();
    return info.mean == joined.mean && info.std == joined.std;
  };
  double rows = 0;
  for (const NamedDataset& part : parts)
    rows += static_cast<double>(part.dataset->info().statistics_rows);
  joined.statistics_rows = static_cast<std::int64_t>(rows);
  if (std::all_of(parts.begin(), parts.end(), same)) return;
  for (std::size_t c = 0; c < channels; ++c) {
    double mean = 0, variance = 0;
    for (const NamedDataset& part : parts) {
      const DatasetInfo& info = part.dataset->info();
      mean += static_cast<double>(info.statistics_rows) / rows * info.mean[c];
    }
    for (const NamedDataset& part : parts) {
      const DatasetInfo& info = part.dataset->info();
      const double apart = info.mean[c] - mean;
      variance += static_cast<double>(info.statistics_rows) / rows *
                  (info.std[c] * info.std[c] + apart * apart);
    }
    joined.mean[c] = mean;
    joined.std[c] = std::sqrt(variance);
  }
}

DatasetInfo join_info(const std::vector<NamedDataset>& parts) {
  DatasetInfo joined = parts.front().dataset->info();
  joined.checksum.clear();  // of one file
  for (const NamedDataset& part : parts) {
    const DatasetInfo& info = part.dataset->info();
    if (joined.task.empty()) joined.task = info.task;
    if (joined.classes.empty()) joined.classes = info.classes;
    if (info.source != joined.source) joined.source = fmt::format("{} files", parts.size());
  }
  pool_statistics(parts, joined);
  return joined;
}

Tensor like(const Tensor& tensor, std::int64_t rows) {
  if (!tensor.defined()) return {};
  const Shape sample(tensor.shape().sizes().subspan(1));
  return host_tensor(sample.with_rows(rows), tensor.dtype());
}

class JoinedDataset final : public Dataset {
 public:
  explicit JoinedDataset(std::vector<NamedDataset> parts)
      : parts_(std::move(parts)), info_(join_info(parts_)) {
    begins_.push_back(0);
    for (const NamedDataset& part : parts_)
      begins_.push_back(begins_.back() + part.dataset->rows());
  }

  const DatasetInfo& info() const override { return info_; }
  std::int64_t rows() const override { return begins_.back(); }
  Shape sample_shape() const override { return first().sample_shape(); }
  DType x_type() const override { return first().x_type(); }
  TargetKind target() const override { return first().target(); }
  std::int64_t target_columns() const override { return first().target_columns(); }
  std::int64_t class_count() const override;
  bool has_weight() const override { return first().has_weight(); }
  std::string access() const override;
  std::string shuffle_warning(std::int64_t rows) const override;
  bool packed() const override {
    return std::any_of(parts_.begin(), parts_.end(),
                       [](const NamedDataset& part) { return part.dataset->packed(); });
  }
  std::int64_t chunk_of(std::int64_t row) const override {  // a part has no more chunks than rows
    const std::size_t part = part_of(row);
    return begins_[part] + parts_[part].dataset->chunk_of(row - begins_[part]);
  }
  std::size_t cache_bytes() const override {
    std::size_t bytes = 0;
    for (const NamedDataset& part : parts_) bytes += part.dataset->cache_bytes();
    return bytes;
  }
  std::size_t row_bytes() const override { return first().row_bytes(); }
  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
            Tensor& weight) const override;
  std::string checksum() const override;

 private:
  const Dataset& first() const { return *parts_.front().dataset; }
  std::size_t part_of(std::int64_t row) const {
    LOCKSTEP_CHECK(0 <= row && row < rows(), "row {} of {} rows", row, rows());
    return static_cast<std::size_t>(std::upper_bound(begins_.begin(), begins_.end(), row) -
                                    begins_.begin() - 1);
  }

  std::vector<NamedDataset> parts_;
  std::vector<std::int64_t> begins_;  // of each part's rows; then the number of all rows
  DatasetInfo info_;
};

std::int64_t JoinedDataset::class_count() const {
  std::int64_t classes = 0;
  for (const NamedDataset& part : parts_) classes = std::max(classes, part.dataset->class_count());
  return classes;
}

std::string JoinedDataset::access() const {
  std::string text = fmt::format("{} files", parts_.size());
  std::vector<std::string> ways;
  for (const NamedDataset& part : parts_) {
    const std::string way = part.dataset->access();
    if (std::find(ways.begin(), ways.end(), way) == ways.end()) ways.push_back(way);
  }
  return fmt::format("{}, {}", text, fmt::join(ways, "; "));
}

// Of the first file that has one, with its share of the rows.
std::string JoinedDataset::shuffle_warning(std::int64_t rows) const {
  for (const NamedDataset& part : parts_) {
    const double share =
        static_cast<double>(part.dataset->rows()) / static_cast<double>(this->rows());
    const auto own = static_cast<std::int64_t>(std::ceil(static_cast<double>(rows) * share));
    const std::string warning = part.dataset->shuffle_warning(own);
    if (!warning.empty()) return warning;
  }
  return "";
}

// Each part reads its rows in one call, so that rows of one chunk meet; what lies scattered in the
// result is copied there.
void JoinedDataset::read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y,
                         Tensor& weight) const {
  std::vector<std::vector<std::size_t>> places(parts_.size());
  for (std::size_t i = 0; i < rows.size(); ++i) places[part_of(rows[i])].push_back(i);
  std::vector<std::int64_t> own_rows;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    const std::vector<std::size_t>& mine = places[part];
    if (mine.empty()) continue;
    own_rows.clear();
    for (std::size_t place : mine) own_rows.push_back(rows[place] - begins_[part]);
    const auto count = static_cast<std::int64_t>(mine.size());
    const auto begin = static_cast<std::int64_t>(mine.front());
    const bool together = mine.back() - mine.front() + 1 == mine.size();
    const auto target = [&](const Tensor& whole) {
      if (!whole.defined() || !together) return like(whole, count);
      return whole.slice(begin, begin + count);
    };
    Tensor part_x = target(x), part_y = target(y), part_weight = target(weight);
    parts_[part].dataset->read(own_rows, part_x, part_y, part_weight);
    if (together) continue;
    const auto scatter = [&](const Tensor& from, Tensor& to) {
      if (!to.defined()) return;
      const std::size_t bytes = from.bytes() / mine.size();
      for (std::size_t i = 0; i < mine.size(); ++i)
        std::memcpy(to.raw() + mine[i] * bytes, from.raw() + i * bytes, bytes);
    };
    scatter(part_x, x);
    scatter(part_y, y);
    scatter(part_weight, weight);
  }
}

std::string JoinedDataset::checksum() const {
  std::string text;
  for (const NamedDataset& part : parts_)
    text += fmt::format("{} {} ", part.dataset->rows(), part.dataset->checksum());
  return checksum_text(lockstep::checksum(text));
}

}  // namespace

std::unique_ptr<Dataset> join_datasets(std::vector<NamedDataset> parts) {
  LOCKSTEP_CHECK(!parts.empty(), "no dataset to join");
  for (std::size_t i = 1; i < parts.size(); ++i) check_agreement(parts.front(), parts[i]);
  return std::make_unique<JoinedDataset>(std::move(parts));
}

}  // namespace lockstep
