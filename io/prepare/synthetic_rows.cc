#include "io/prepare/synthetic_rows.h"

namespace lockstep {

void check_at_least(const std::string& option, std::int64_t value, std::int64_t least) {
  if (value < least) throw Error("{} = {}: at least {} are needed", option, value, least);
}

void check_noise(double noise, double most) {
  if (!(noise >= 0 && noise <= most))
    throw Error("--noise = {}: it must be from 0 to {}", noise, most);
}

std::vector<std::string> numbered(const std::string& prefix, std::int64_t count) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) names.push_back(prefix + std::to_string(i));
  return names;
}

double evenly(double from, double to, std::int64_t k, std::int64_t count) {
  if (count < 2) return from;
  return from + (to - from) * static_cast<double>(k) / static_cast<double>(count - 1);
}

namespace {

class MadeRows final : public RowSource {
 public:
  explicit MadeRows(const SyntheticRows& data)
      : data_(data),
        layout_{.rows = data.rows,
                .sample = data.sample,
                .x_type = data.x_type,
                .target = data.classes.empty() ? TargetKind::kValues : TargetKind::kClass} {}

  const RowLayout& layout() const override { return layout_; }
  void read(std::span<const std::int64_t> rows, const RowBlock& to) override {
    const std::size_t x_bytes = layout_.x_bytes(), y_bytes = layout_.row_bytes() - x_bytes;
    for (std::size_t i = 0; i < rows.size(); ++i)
      data_.fill(rows[i], to.x.raw() + i * x_bytes, to.y.raw() + i * y_bytes);
  }

 private:
  SyntheticRows data_;
  RowLayout layout_;
};

}  // namespace

void write_synthetic(const SyntheticRows& data, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  const bool regression = data.classes.empty();
  DatasetContents contents;
  contents.info.task = regression ? "regression" : "classification";
  contents.info.classes = data.classes;
  contents.info.source = fmt::format("synthetic {}: {} rows, {}, seed {}", data.kind, data.rows,
                                     data.details, common.seed);
  contents.truth = data.truth;
  if (data.sample.rank() == 1 && data.x_type == DType::kFloat32)
    contents.columns = numbered("x", data.sample[0]);
  if (regression) contents.targets = {"y"};
  if (!data.standardize) {
    contents.info.mean.assign(static_cast<std::size_t>(data.sample.back()), 0.0);
    contents.info.std.assign(static_cast<std::size_t>(data.sample.back()), 1.0);
  }
  const auto rows = std::make_shared<MadeRows>(data);
  write_parts(rows, plan_split(*rows, common), common, std::move(contents));
}

}  // namespace lockstep
