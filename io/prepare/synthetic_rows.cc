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

void write_synthetic(const SyntheticRows& data, const PrepareOptions& common) {
  check_output(common.output, common.force);
  const bool regression = data.classes.empty();
  SplitData all;
  all.x = host_tensor(data.sample.with_rows(data.rows), data.x_type);
  all.y = regression ? host_tensor({data.rows, 1}, DType::kFloat32)
                     : host_tensor({data.rows}, DType::kInt64);
  const auto rows = static_cast<std::size_t>(data.rows);
  const std::size_t x_bytes = all.x.bytes() / rows, y_bytes = all.y.bytes() / rows;
  for (std::size_t row = 0; row < rows; ++row)
    data.fill(static_cast<std::int64_t>(row), all.x.raw() + row * x_bytes,
              all.y.raw() + row * y_bytes);

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
  write_parts(all, plan_split(all.y, common), common, std::move(contents));
}

}  // namespace lockstep
