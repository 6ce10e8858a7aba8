#include "launch/bench/bench_overlap.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "io/base/file.h"
#include "io/loading/loader.h"
#include "kernels/gpu/gpu_library.h"
#include "launch/bench/bench_summary.h"
#include "launch/job.h"
#include "launch/networks.h"
#include "launch/number_checks.h"
#include "runtime/communication/agreement.h"
#include "runtime/communication/staged_exchange.h"
#include "runtime/step/step_numbers.h"

namespace lockstep {

namespace {

constexpr int kWarmUp = 3;            // passes: plans, workspaces, clocks of the GPU
constexpr std::int64_t kVersion = 1;  // of the weights, which no pass changes
// Of the pass: buckets this near to the last one are ready with it.
constexpr double kTogether = 1e-3;

struct Options {
  std::string config, json;
  std::vector<std::string> overrides;
  std::int64_t rounds = 20;
};

// Hands buckets on to an exchange, and marks the clock of the stream on which they become final.
class MarkedTarget final : public GradientTarget {
 public:
  MarkedTarget(Exchange& exchange, GpuClock& clock, Stream& stream)
      : exchange_(exchange), clock_(clock), stream_(stream) {}
  float* node(int slot) override { return exchange_.node(0, slot); }
  void publish(int bucket) override {
    marks.emplace_back(bucket, clock_.mark(stream_));
    exchange_.publish(0, bucket);
  }
  std::vector<std::pair<int, int>> marks;  // bucket, mark

 private:
  Exchange& exchange_;
  GpuClock& clock_;
  Stream& stream_;
};

// The forward and backward passes of this rank's shards, and no update.
class Passes {
 public:
  explicit Passes(Session& session)
      : session_(session),
        team_(session.team()),
        worker_(team_.workers().front()),
        buckets_(make_buckets(team_.params().trained_elements(), kBucketElements)),
        clock_(session.device().library->make_clock()) {
    const Config& config = session.config();
    ExchangePlan plan;
    plan.elements = team_.params().trained_elements();
    plan.frozen = team_.params().elements() - plan.elements;
    plan.buckets = buckets_;
    plan.scalars = kShardScalars;
    exchange_ = make_training_exchange(team_.communicator(), plan, team_.plan(), session.backend());
    exchange_->attach(0, worker_.stream());
    team_.params().bind_values(session.backend(), exchange_->host_values());
    team_.params().initialize(session.backend(), config.run.seed);
    team_.bind_values(exchange_->values());
    exchange_->filled();
    team_.share_packed_copies(config.run.patience_seconds);
    numbers_ = StepNumbers::make({team_.params(), team_.plan(), worker_.shards, *exchange_, 0,
                                  session.backend(), worker_.stream()});
    const BatchPlan batches{session.data().data->rows() * config.data.copies, config.training.batch,
                            config.run.shards, config.training.drop_last};
    LoaderOptions loading;
    loading.plan = batches;
    loading.seed = config.run.seed;
    loading.shards.resize(static_cast<std::size_t>(worker_.shards.count()));
    std::iota(loading.shards.begin(), loading.shards.end(), worker_.shards.begin);
    loading.augmentation = session.augmentation();
    loading.resident = session.data().resident;
    loading.last_step = batches.steps_per_epoch();
    loader_ = Loader::make(session.data().data, loading);
    steps_ = batches.steps_per_epoch();
  }

  const std::vector<ElementRange>& buckets() const { return buckets_; }

  // When each bucket was final, of the last shard's pass, and the end of that.
  std::vector<double> run(std::int64_t step) {
    std::vector<double> seconds(buckets_.size() + 1);
    team_.run([&](Worker& worker) {
      Stream& stream = worker.stream();
      MarkedTarget target(*exchange_, *clock_, stream);
      Reducer reducer(worker.replica().params(), buckets_, worker.shards, target,
                      session_.backend(), stream);
      exchange_->begin(0, step);
      reducer.begin_step();
      worker.replica().prepare(stream, kVersion);
      for (std::int64_t shard = worker.shards.begin; shard < worker.shards.end; ++shard) {
        if (shard + 1 == worker.shards.end) clock_->start(stream);
        worker.replica().train_shard(loader_->fetch(step % steps_, shard), shard, step, kVersion,
                                     reducer, *numbers_);
      }
      const int end = clock_->mark(stream);
      numbers_->publish(false);
      numbers_->add_up();
      for (int b = 0; b < std::ssize(buckets_); ++b) {
        exchange_->collect(0, b);
        exchange_->deliver(0, b);
      }
      exchange_->finish(0);
      numbers_->finish();
      for (const auto& [bucket, mark] : target.marks)
        seconds[static_cast<std::size_t>(bucket)] = clock_->seconds(mark);
      seconds.back() = clock_->seconds(end);
    });
    return seconds;
  }

 private:
  Session& session_;
  Team& team_;
  Worker& worker_;
  const std::vector<ElementRange> buckets_;
  std::unique_ptr<GpuClock> clock_;
  std::unique_ptr<Exchange> exchange_;
  std::unique_ptr<StepNumbers> numbers_;
  std::unique_ptr<Loader> loader_;
  std::int64_t steps_ = 1;
};

nlohmann::ordered_json print(const std::vector<ReadyBucket>& buckets, double end) {
  nlohmann::ordered_json json{{"pass_ms", end * 1e3},
                              {"buckets", nlohmann::ordered_json::array()},
                              {"projection", nlohmann::ordered_json::array()}};
  fmt::print("{:>7}{:>10}{:>12}{:>18}\n", "bucket", "MiB", "ready ms", "before the end ms");
  for (std::size_t b = 0; b < buckets.size(); ++b) {
    const auto& [bytes, seconds] = buckets[b];
    fmt::print("{:>7}{:>10.2f}{:>12.3f}{:>18.3f}\n", b, bytes / 0x1p20, seconds * 1e3,
               (end - seconds) * 1e3);
    json["buckets"].push_back({{"bytes", bytes}, {"ready_ms", seconds * 1e3}});
  }
  fmt::print(
      "one shard's forward and backward pass: {:.3f} ms\n\n"
      "A projection, not a measurement: the bus bandwidth of each GPU (bytes x (n-1)/n, as "
      "nccl-tests count)\nat which all buckets but the last arrive while the last shard's pass "
      "still runs, and what is left then.\n{:>7}{:>10}{:>22}{:>16}{:>14}\n",
      end * 1e3, "GPUs", "GB/s", "MiB of gradients left", "MiB of weights", "ms for both");
  for (const int gpus : {2, 4, 8}) {
    const Overlap overlap = overlap_of(buckets, end, gpus);
    const double left = overlap.gradient_bytes + overlap.weight_bytes;
    fmt::print("{:>7}{:>10}{:>22.2f}{:>16.2f}{:>14}\n", gpus,
               overlap.bandwidth > 0 ? fmt::format("{:.2f}", overlap.bandwidth * 1e-9) : "none",
               overlap.gradient_bytes / 0x1p20, overlap.weight_bytes / 0x1p20,
               overlap.bandwidth > 0 ? fmt::format("{:.3f}", left / overlap.bandwidth * 1e3) : "");
    json["projection"].push_back({{"gpus", gpus},
                                  {"bus_bandwidth", overlap.bandwidth},
                                  {"gradient_bytes_left", overlap.gradient_bytes},
                                  {"weight_bytes", overlap.weight_bytes}});
  }
  return json;
}

int bench_overlap(const Options& options, const Networks& networks) {
  const auto configure = [&] {
    Config config = load_config(options.config, options.overrides);
    require_for_training(config);
    config.training.phases.clear();  // passes are those of the whole network
    config.run.replicas = 1;
    return config;
  };
  return run_job(configure, [&](const Config& config, Communicator& communicator) {
    if (communicator.size() > 1)
      throw AgreedError("bench overlap measures one rank and projects more: start it alone");
    Session session(config, Purpose::kTrain, config.data.train, communicator, networks.make);
    if (session.device().library == nullptr)
      throw AgreedError("bench overlap is about GPUs, and this is a " + session.device().text);
    Passes passes(session);
    const std::size_t count = passes.buckets().size();
    std::vector<std::vector<double>> samples(count + 1);
    for (std::int64_t i = 0; i < kWarmUp + options.rounds; ++i) {
      const std::vector<double> seconds = passes.run(i);
      for (std::size_t n = 0; i >= kWarmUp && n <= count; ++n) samples[n].push_back(seconds[n]);
    }
    std::vector<ReadyBucket> buckets;
    for (std::size_t b = 0; b < count; ++b)
      buckets.push_back(
          {static_cast<double>(passes.buckets()[b].count()) * sizeof(float), median(samples[b])});
    for (const std::string& line : session.log()) fmt::print("{}\n", line);
    const nlohmann::ordered_json json = print(buckets, median(samples.back()));
    if (!options.json.empty()) write_text(options.json, json.dump(1) + "\n");
    return 0;
  });
}

}  // namespace

// What is ready from bucket k on, but for the last, has the time from then to the end, whatever k.
Overlap overlap_of(const std::vector<ReadyBucket>& buckets, double end, int gpus) {
  const double share = double(gpus - 1) / gpus;
  Overlap overlap{.gpus = gpus};
  const double last = buckets.empty() ? 0 : buckets.back().seconds;
  double behind = 0;
  for (std::size_t b = buckets.size(); b-- > 0;) {
    const double bytes = buckets[b].bytes * share;
    overlap.weight_bytes += bytes;
    if (buckets[b].seconds >= last - kTogether * end) {
      overlap.gradient_bytes += bytes;
      continue;
    }
    behind += bytes;
    overlap.bandwidth = std::max(overlap.bandwidth, behind / (end - buckets[b].seconds));
  }
  return overlap;
}

void add_bench_overlap(CLI::App& bench, Action& action, const Networks& networks) {
  auto options = std::make_shared<Options>();
  CLI::App* command = bench.add_subcommand(
      "overlap",
      "when buckets of gradients are ready on a GPU, and what would hide their exchange");
  command->add_option("config", options->config, "TOML file")->required();
  command->add_option("overrides", options->overrides, "key=value");
  command->add_option("--rounds", options->rounds, "passes; the median of each time is told")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--json", options->json, "write the figures to this file too");
  command->footer(
      "Example:\n  lockstep bench overlap launch/configs/fashion-mnist-cnn.toml run.device=cuda\n");
  command->callback([options, &networks, &action] {
    action = [options, &networks] { return bench_overlap(*options, networks); };
  });
}

}  // namespace lockstep
