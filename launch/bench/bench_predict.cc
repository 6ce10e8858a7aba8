#include "launch/bench/bench_predict.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "launch/bench/bench_summary.h"
#include "launch/job.h"
#include "launch/networks.h"
#include "launch/number_checks.h"
#include "runtime/run/evaluation.h"
#include "runtime/run/node_values.h"

namespace lockstep {

namespace {

struct BenchPredictArguments {
  std::string config, split = "/train", json;
  std::vector<std::string> overrides;
  int rounds = 5;
};

int bench_predict(const BenchPredictArguments& arguments, const Networks& networks) {
  const auto configure = [&] {
    const Config config = load_config(arguments.config, arguments.overrides);
    require_for_training(config);
    return config;
  };
  return run_job(configure, [&](const Config& config, Communicator& communicator) {
    Session session(config, Purpose::kPredict, arguments.split, communicator, networks.make);
    Team& team = session.team();
    const NodeValues values(
        team, [&](float*) { team.params().initialize(session.backend(), config.run.seed); });

    EvaluationOptions options;
    options.batch = config.training.batch;
    const auto rows = static_cast<double>(session.data().data->rows());
    std::vector<double> rates;
    for (int round = -1; round < arguments.rounds; ++round) {  // the first one warms up
      const auto start = std::chrono::steady_clock::now();
      predict(team, session.data(), options);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      if (round >= 0) rates.push_back(rows / seconds.count());
    }
    if (communicator.rank() != 0) return 0;

    const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
    const nlohmann::ordered_json json{{"config", arguments.config},
                                      {"ranks", communicator.size()},
                                      {"threads", session.threads()},
                                      {"batch", options.batch},
                                      {"rows", rows},
                                      {"isa", session.backend().isa()},
                                      {"samples_per_second", median(rates)},
                                      {"samples_per_second_min", *least},
                                      {"samples_per_second_max", *most},
                                      {"memory_mib", peak_memory_mib()}};
    for (const std::string& line : session.log()) fmt::print("{}\n", line);
    fmt::print(
        "{} rank{} x {} thread{}, batch {}: {} rounds of {} rows\n"
        "  samples/s  median {:>10.1f}   min {:>10.1f}   max {:>10.1f}\n"
        "  memory     {:.1f} MiB, peak of rank 0\n",
        communicator.size(), communicator.size() == 1 ? "" : "s", session.threads(),
        session.threads() == 1 ? "" : "s", options.batch, arguments.rounds, rows, median(rates),
        *least, *most, peak_memory_mib());
    if (!arguments.json.empty()) write_text(arguments.json, json.dump(1) + "\n");
    return 0;
  });
}

}  // namespace

void add_bench_predict(CLI::App& bench, Action& action, const Networks& networks) {
  auto options = std::make_shared<BenchPredictArguments>();
  CLI::App* command = bench.add_subcommand(
      "predict", "outputs of a network fresh from its seed, for a whole split");
  command->add_option("config", options->config, "TOML file")->required();
  command->add_option("overrides", options->overrides, "key=value");
  command->add_option("--split", options->split, "group whose rows it reads")
      ->capture_default_str();
  command->add_option("--rounds", options->rounds, "times through the split; the median is told")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--json", options->json, "write the figures to this file too");
  command->footer("Example:\n  lockstep bench predict launch/configs/fashion-mnist-cnn.toml\n");
  command->callback([options, &networks, &action] {
    action = [options, &networks] { return bench_predict(*options, networks); };
  });
}

}  // namespace lockstep
