// Points in classes: moons, spirals, blobs. The classes take turns: row i is of class i mod
// classes.
#include <algorithm>

#include "io/prepare/synthetic.h"
#include "io/prepare/synthetic_random.h"
#include "io/prepare/synthetic_rows.h"
#include "kernels/core/portable_math.h"

namespace lockstep {
namespace {

constexpr double kLargestNoise = 1e6;
constexpr double kPi = 3.141592653589793;

void put(std::byte* x, std::byte* y, std::span<const double> point, std::int64_t label) {
  std::transform(point.begin(), point.end(), reinterpret_cast<float*>(x),
                 [](double value) { return static_cast<float>(value); });
  *reinterpret_cast<std::int64_t*>(y) = label;
}

// Rows of class `label` where `classes` take turns.
std::int64_t rows_of_class(std::int64_t rows, std::int64_t classes, std::int64_t label) {
  return (rows - label + classes - 1) / classes;
}

}  // namespace

void prepare_moons(const MoonsOptions& options, const PrepareOptions& common) {
  check_at_least("--rows", options.rows, 2);
  check_noise(options.noise, kLargestNoise);
  const Draws noise(common.seed, SyntheticStream::kNoise);
  SyntheticRows data{.kind = "moons",
                     .details = fmt::format("noise {}", options.noise),
                     .rows = options.rows,
                     .sample = {2},
                     .classes = {"upper", "lower"}};
  data.fill = [=](std::int64_t row, std::byte* x, std::byte* y) {
    const std::int64_t label = row % 2;
    const auto [sine, cosine] =
        sine_cosine(evenly(0, 0.5, row / 2, rows_of_class(options.rows, 2, label)));
    const double point[2] = {
        (label == 0 ? cosine : 1 - cosine) + options.noise * noise.normal(row, 0),
        (label == 0 ? sine : 0.5 - sine) + options.noise * noise.normal(row, 1)};
    put(x, y, point, label);
  };
  write_synthetic(data, common);
}

void prepare_spirals(const SpiralsOptions& options, const PrepareOptions& common) {
  check_at_least("--classes", options.classes, 2);
  check_at_least("--rows", options.rows, options.classes);
  check_noise(options.noise, kLargestNoise);
  const Draws noise(common.seed, SyntheticStream::kNoise);
  SyntheticRows data{.kind = "spirals",
                     .details = fmt::format("noise {}", options.noise),
                     .rows = options.rows,
                     .sample = {2},
                     .classes = numbered("", options.classes)};
  data.fill = [=](std::int64_t row, std::byte* x, std::byte* y) {
    const std::int64_t label = row % options.classes;
    const double radius =
        evenly(0, 1, row / options.classes, rows_of_class(options.rows, options.classes, label));
    const double radians = 4 * radius + options.noise * noise.normal(row, 0);
    const double turn = static_cast<double>(label) / static_cast<double>(options.classes);
    const auto [sine, cosine] = sine_cosine(turn + radians / (2 * kPi));
    put(x, y, std::array{radius * sine, radius * cosine}, label);
  };
  write_synthetic(data, common);
}

void prepare_blobs(const BlobsOptions& options, const PrepareOptions& common) {
  check_at_least("--classes", options.classes, 2);
  check_at_least("--rows", options.rows, options.classes);
  check_at_least("--features", options.features, 1);
  check_noise(options.noise, kLargestNoise);
  const Draws noise(common.seed, SyntheticStream::kNoise),
      centres(common.seed, SyntheticStream::kRule);
  SyntheticRows data{.kind = "blobs",
                     .details = fmt::format("noise {}", options.noise),
                     .rows = options.rows,
                     .sample = {options.features},
                     .classes = numbered("", options.classes)};
  data.fill = [=](std::int64_t row, std::byte* x, std::byte* y) {
    const std::int64_t label = row % options.classes;
    std::vector<double> point(static_cast<std::size_t>(options.features));
    for (std::int64_t i = 0; i < options.features; ++i)
      point[static_cast<std::size_t>(i)] =
          20 * centres.uniform(label, i) - 10 + options.noise * noise.normal(row, i);
    put(x, y, point, label);
  };
  write_synthetic(data, common);
}

}  // namespace lockstep
