#include "launch/bench/bench_images.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "io/prepare/decoded_images.h"
#include "launch/bench/bench_summary.h"
#include "launch/number_checks.h"
#include "runtime/run/cpu_resources.h"

namespace lockstep {

namespace {

struct BenchImagesOptions {
  std::string folder, json;
  std::int64_t resize = 0, size = 224;
  bool fast = false;
  int threads = 0, rounds = 5;
};

int bench_images(const BenchImagesOptions& options) {
  const FitOptions fit{.shorter = options.resize > 0 ? options.resize : options.size,
                       .size = options.size,
                       .fast = options.fast};
  const DecodeLimits limits{.threads = options.threads > 0 ? options.threads
                                                           : resolve_threads(0, 1, 0).threads};
  const ImageList list = list_images(options.folder, {});
  const std::string scratch = (std::filesystem::temp_directory_path() / "lockstep").string();
  std::vector<double> rates;
  std::size_t decoded = 0;
  for (int round = -1; round < options.rounds; ++round) {  // the first warms up
    const auto start = std::chrono::steady_clock::now();
    decoded = decode_images(list.images, fit, limits, scratch).images.size();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (round >= 0) rates.push_back(static_cast<double>(decoded) / seconds.count());
  }
  std::sort(rates.begin(), rates.end());
  const double rate = median(rates);
  fmt::print(
      "{}: {} images to {} x {}, {} thread{}, warm\n"
      "  images/s  median {:.1f} of {} rounds   (min {:.1f}, max {:.1f})\n",
      options.folder, decoded, fit.size, fit.size, limits.threads, limits.threads == 1 ? "" : "s",
      rate, options.rounds, rates.front(), rates.back());
  if (!options.json.empty())
    write_text(options.json, nlohmann::ordered_json{{"folder", options.folder},
                                                    {"images", decoded},
                                                    {"threads", limits.threads},
                                                    {"images_per_second", rate},
                                                    {"min", rates.front()},
                                                    {"max", rates.back()}}
                                     .dump(1) +
                                 "\n");
  return 0;
}

}  // namespace

void add_bench_images(CLI::App& bench, Action& action) {
  auto options = std::make_shared<BenchImagesOptions>();
  CLI::App* command =
      bench.add_subcommand("images", "images decoded and resized a second, as prepare does it");
  command->add_option("folder", options->folder, "folder of images, a sub-folder a class")
      ->required();
  command->add_option("--size", options->size, "pixels a side")
      ->check(kPositive)
      ->capture_default_str();
  command->add_option("--resize", options->resize, "shorter side (default: as --size)")
      ->check(kPositive);
  command->add_flag("--fast-decode", options->fast, "large JPEGs at a fraction of their size");
  command->add_option("--threads", options->threads, "that decode; 0: one a core")
      ->check(kNotNegative)
      ->capture_default_str();
  command->add_option("--rounds", options->rounds, "rounds; their median rate is reported")
      ->check(kPositive)
      ->capture_default_str();
  command->add_option("--json", options->json, "write the figures to this file too");
  command->footer("Example:\n  lockstep bench images flowers/ --threads 2\n");
  command->callback([options, &action] { action = [options] { return bench_images(*options); }; });
}

}  // namespace lockstep
