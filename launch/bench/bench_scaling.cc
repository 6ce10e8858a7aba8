// Runs `lockstep bench step` on growing numbers of ranks: with one batch for all (strong), and with
// a batch that grows with the ranks (weak). Writes what was measured, and the model's projection
// beyond it, as CSV, JSON and SVG.
#include "launch/bench/bench_scaling.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "io/base/file.h"
#include "kernels/core/error.h"
#include "launch/bench/scaling_model.h"
#include "launch/number_checks.h"
#include "runtime/config/config.h"

namespace lockstep {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string config, out = "scaling", mpirun = "mpirun --bind-to none";
  std::vector<std::string> overrides;
  std::vector<int> ranks;
  int threads = 1, project = 64;
  std::int64_t steps = 50, warm_up = 10;
  int rounds = 3;
};

// Ranks that may run: Slurm's tasks, or this machine's cores.
int slots(int threads) {
  if (const char* tasks = std::getenv("SLURM_NTASKS")) return std::max(1, std::atoi(tasks));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / threads);
}

std::vector<int> rank_counts(const Options& options) {
  std::vector<int> counts = options.ranks;
  for (int n = 1; options.ranks.empty() && n <= slots(options.threads); n *= 2) counts.push_back(n);
  counts.push_back(1);  // what all others are compared with
  std::ranges::sort(counts);
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  if (counts.front() < 1) throw Error("--ranks {}: a job has at least one rank", counts.front());
  return counts;
}

std::vector<std::string> split_words(const std::string& text) {
  std::istringstream words(text);
  std::vector<std::string> all;
  for (std::string word; words >> word;) all.push_back(word);
  return all;
}

// Runs a command to its end; its standard output is left out.
void run_command(const std::vector<std::string>& words) {
  std::fflush(nullptr);  // or the child would print again what waits to be printed
  const pid_t child = fork();
  if (child < 0) throw Error("cannot start {}: no process can be made", words.front());
  if (child == 0) {
    if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(126);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  throw Error("this command ended with code {}{}; its own messages stand above:\n  {}", code,
              code == 127 ? " (is it installed?)" : "", fmt::join(words, " "));
}

class ScalingBench {
 public:
  explicit ScalingBench(const Options& options)
      : options_(options),
        config_(load_config(options.config, options.overrides)),
        counts_(rank_counts(options)) {
    require_for_training(config_);
    // Enough for the most ranks, and the same for all strong runs: shards are part of the result.
    const auto workers = static_cast<std::uint64_t>(counts_.back() * options.threads);
    shards_ = config_.run.shards > 0
                  ? config_.run.shards
                  : std::max<std::int64_t>(8, static_cast<std::int64_t>(std::bit_ceil(workers)));
  }

  void measure() {
    fmt::print("{:>7} {:>6} {:>8} {:>7} {:>12} {:>10} {:>11}\n", "scaling", "ranks", "batch",
               "shards", "samples/s", "step ms", "efficiency");
    for (const int ranks : counts_) {
      points_.push_back(step(false, ranks));
      show();
      if (ranks == 1) {  // one rank is the beginning of both
        points_.push_back(points_.back());
        points_.back().weak = true;
      } else {
        points_.push_back(step(true, ranks));
      }
      show();
    }
    model_ = fit_scaling(points_, bytes_);
  }

  // Powers of two beyond the last measured count.
  void project() {
    if (model_.points == 0) return;
    for (const bool weak : {false, true}) {
      const ScalingPoint one = one_rank(points_, weak);
      for (int n = 2 * static_cast<int>(std::bit_floor(static_cast<unsigned>(counts_.back())));
           n <= options_.project; n *= 2) {
        ScalingPoint point = one;
        point.measured = point.taking_turns = false;
        point.ranks = n;
        point.batch = weak ? one.batch * n : one.batch;
        point.shards = std::max<std::int64_t>(weak ? one.shards * n : one.shards, n);
        point.step_ms = model_step_ms(model_, bytes_, weak, n, one.step_ms);
        point.samples_per_second = static_cast<double>(point.batch) / point.step_ms * 1e3;
        points_.push_back(point);
      }
    }
    set_efficiency(points_);
  }

  void write() const {
    const std::string title = fmt::format("{}, {} thread{} a rank", options_.config,
                                          options_.threads, options_.threads == 1 ? "" : "s");
    std::string csv =
        "scaling,ranks,threads,batch,shards,samples_per_second,step_ms,efficiency,kind\n";
    Json points = Json::array();
    for (const ScalingPoint& point : points_) {
      const char* scaling = point.weak ? "weak" : "strong";
      const char* kind = point.measured ? "measured" : "projected";
      csv += fmt::format("{},{},{},{},{},{:.6g},{:.6g},{:.4f},{}\n", scaling, point.ranks,
                         options_.threads, point.batch, point.shards, point.samples_per_second,
                         point.step_ms, point.efficiency, kind);
      points.push_back({{"scaling", scaling},
                        {"ranks", point.ranks},
                        {"threads", options_.threads},
                        {"batch", point.batch},
                        {"shards", point.shards},
                        {"samples_per_second", point.samples_per_second},
                        {"step_ms", point.step_ms},
                        {"efficiency", point.efficiency},
                        {"kind", kind},
                        {"more_workers_than_cores", point.taking_turns}});
    }
    Json model;  // null without a fit
    if (model_.points > 0)
      model = {{"formula", "t(n) = ideal(n) + alpha*2(n-1) + beta*bytes*2(n-1)/n"},
               {"alpha_us", model_.alpha_us},
               {"gigabytes_per_second", model_.gigabytes_per_second},
               {"residual_ms", model_.residual_ms},
               {"points", model_.points}};
    const Json json{{"config", options_.config},
                    {"gradient_bytes", bytes_},
                    {"model", model},
                    {"points", points}};
    write_text(options_.out + ".csv", csv);
    write_text(options_.out + ".json", json.dump(1) + "\n");
    write_text(options_.out + ".svg", scaling_svg(points_, model_, title));
    if (model_.points == 0)
      fmt::print("\nno fit and no projection: they need two rank counts, as --ranks 1,2\n");
    else
      fmt::print("\nalpha {:.3g} us a message, {}, rms of the rest {:.3g} ms, over {} points\n",
                 model_.alpha_us,
                 model_.gigabytes_per_second > 0
                     ? fmt::format("1/beta {:.3g} GB/s", model_.gigabytes_per_second)
                     : "no cost by bytes",
                 model_.residual_ms, model_.points);
    fmt::print("written: {0}.csv, {0}.json, {0}.svg{1}\n", options_.out,
               model_.points == 0 ? "" : " (projections are marked as such)");
  }

 private:
  ScalingPoint step(bool weak, int ranks) {
    ScalingPoint point;
    point.weak = weak;
    point.ranks = ranks;
    point.batch = config_.training.batch * (weak ? ranks : 1);
    point.shards =
        shards_ *
        (weak ? static_cast<std::int64_t>(std::bit_ceil(static_cast<unsigned>(ranks))) : 1);
    const bool inside = std::getenv("SLURM_JOB_ID") != nullptr;
    point.taking_turns =
        !inside && ranks * options_.threads > static_cast<int>(std::thread::hardware_concurrency());
    const std::string json = fmt::format("{}.step-{}.json", options_.out, getpid());
    std::vector<std::string> words = split_words(options_.mpirun);
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    for (const std::string& word : {std::string("-np"), std::to_string(ranks), self,
                                    std::string("bench"), std::string("step"), options_.config})
      words.push_back(word);
    words.insert(words.end(), options_.overrides.begin(), options_.overrides.end());
    for (const std::string& word :
         {fmt::format("run.threads={}", options_.threads),
          fmt::format("run.shards={}", point.shards), fmt::format("training.batch={}", point.batch),
          std::string("--steps"), std::to_string(options_.steps), std::string("--warm-up"),
          std::to_string(options_.warm_up), std::string("--rounds"),
          std::to_string(options_.rounds), std::string("--json"), json})
      words.push_back(word);
    run_command(words);
    const Json figures = Json::parse(read_text(json));
    std::filesystem::remove(json);
    bytes_ = figures.at("gradient_bytes").get<double>();
    point.samples_per_second = figures.at("samples_per_second").get<double>();
    point.step_ms = static_cast<double>(point.batch) / point.samples_per_second * 1e3;
    return point;
  }

  void show() {
    std::vector<ScalingPoint> so_far = points_;
    if (so_far.size() == 1) so_far.push_back(so_far.front()), so_far.back().weak = true;
    set_efficiency(so_far);
    for (std::size_t i = 0; i < points_.size(); ++i) points_[i].efficiency = so_far[i].efficiency;
    const ScalingPoint& point = points_.back();
    fmt::print("{:>7} {:>6} {:>8} {:>7} {:>12.0f} {:>10.3f} {:>9.1f} %{}\n",
               point.weak ? "weak" : "strong", point.ranks, point.batch, point.shards,
               point.samples_per_second, point.step_ms, 100 * point.efficiency,
               point.taking_turns ? "  (more workers than cores: they take turns)" : "");
    std::fflush(stdout);
  }

  const Options& options_;
  Config config_;
  std::vector<int> counts_;
  std::int64_t shards_ = 8;
  double bytes_ = 0;
  std::vector<ScalingPoint> points_;
  ScalingModel model_;
};

}  // namespace

void add_bench_scaling(CLI::App& bench, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = bench.add_subcommand(
      "scaling", "training rates over rank counts, weak and strong, and a model of them");
  command->add_option("config", options->config, "TOML file")->required();
  command->add_option("overrides", options->overrides, "key=value");
  command
      ->add_option(
          "--ranks", options->ranks,
          "rank counts, 1,2,4 (default: powers of two up to the allocation's or machine's)")
      ->delimiter(',');
  command->add_option("--threads", options->threads, "worker threads of a rank")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--mpirun", options->mpirun, "how ranks are started, without -np")
      ->capture_default_str();
  command->add_option("--steps", options->steps, "steps a round")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--warm-up", options->warm_up, "steps before the first round")
      ->capture_default_str()
      ->check(kNotNegative);
  command->add_option("--rounds", options->rounds, "rounds; their median rate counts")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--project", options->project, "the model is drawn up to so many ranks")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--out", options->out, "files to write: OUT.csv, OUT.json, OUT.svg")
      ->capture_default_str();
  command->footer(
      "Not under mpirun: it starts the ranks itself, inside an allocation of Slurm in that one.\n"
      "Example:\n"
      "  lockstep bench scaling launch/configs/fashion-mnist.toml --ranks 1,2,4 --mpirun \"mpirun "
      "--oversubscribe\"\n");
  command->callback([options, &action] {
    action = [options] {
      ScalingBench bench_run(*options);
      bench_run.measure();
      bench_run.project();
      bench_run.write();
      return 0;
    };
  });
}

}  // namespace lockstep
