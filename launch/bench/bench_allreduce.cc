// Both sum a vector over the ranks, in turns, each from buffers of its own and in place. Ours is a
// step's exchange without an optimizer: gradients lie where backward leaves them, the sums arrive
// where weights are. Bandwidths are nccl-tests' (its doc/PERFORMANCE.md): algbw = bytes / time, and
// busbw = algbw · 2(n-1)/n, what each rank has to move at least.
#include "launch/bench/bench_allreduce.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "kernels/cpu/cpu_backend.h"
#include "launch/job.h"
#include "launch/number_checks.h"
#include "runtime/communication/agreement.h"
#include "runtime/step/reducer.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kBucketElements = std::int64_t{1} << 20;  // as in training
constexpr double kRoundBytes = 1e6;  // small sizes are repeated this far, for the clock's sake
constexpr int kMostRepeats = 100;

struct Options {
  std::int64_t min_bytes = 1000, max_bytes = 100'000'000, factor = 10;
  int rounds = 11, threads = 1;
  std::int64_t ranks_per_node = 0;
  std::string transport = "auto", json;
};

struct Figures {
  double us = 0, us_min = 0, us_max = 0;  // median and extremes of the rounds, slowest rank
  double algbw = 0, busbw = 0;            // GB/s
  std::int64_t wrong = 0;                 // elements, over all ranks
};

// Small integers: any order of additions gives the same sum.
float term(std::int64_t i, int rank) {
  return static_cast<float>((i * 7 + rank * 3) % 17 - 8);
}

class SizeBench {
 public:
  SizeBench(Communicator& communicator, Backend& backend, std::int64_t elements, int threads)
      : communicator_(communicator),
        backend_(backend),
        elements_(elements),
        plan_{.elements = elements,
              .buckets = make_buckets(elements, kBucketElements),
              .scalars = 1,
              .states = 0},
        shards_(static_cast<std::int64_t>(
                    std::bit_ceil(static_cast<std::uint64_t>(communicator.size()) *
                                  static_cast<std::uint64_t>(threads))),
                std::vector<int>(static_cast<std::size_t>(communicator.size()), threads)),
        exchange_(communicator.make_exchange(plan_, shards_, backend)),
        theirs_(static_cast<std::size_t>(elements)) {
    for (int worker = 0; worker < threads; ++worker) {
      streams_.push_back(backend.make_stream(worker));
      const ShardRange own = shards_.of_worker(communicator.rank(), worker);
      for (std::size_t slot = 0; slot < canonical_subtrees(own).size(); ++slot)
        nodes_.push_back(exchange_->node(worker, static_cast<int>(slot)));
    }
    exchange_->filled();
  }

  std::string description() const { return communicator_.description(); }

  // Ours, then MPI's.
  std::pair<Figures, Figures> measure(int rounds) {
    std::pair<Figures, Figures> figures;
    fill(true);
    reduce();
    communicator_.all_reduce(theirs_);
    figures.first.wrong = count_wrong(exchange_->values());
    figures.second.wrong = count_wrong(theirs_.data());

    fill(false);
    const double bytes = static_cast<double>(elements_) * sizeof(float);
    const int repeats = std::clamp(static_cast<int>(kRoundBytes / bytes), 1, kMostRepeats);
    std::vector<double> ours, mpi;
    for (int round = -1; round < rounds; ++round) {
      const double first = time(repeats, [&] { reduce(); });
      const double second = time(repeats, [&] { communicator_.all_reduce(theirs_); });
      if (round < 0) continue;  // warm-up
      ours.push_back(first);
      mpi.push_back(second);
    }
    summarize(ours, bytes, figures.first);
    summarize(mpi, bytes, figures.second);
    return figures;
  }

 private:
  // term() in one node of the rank, or zeros, which any number of sums leaves as they are.
  void fill(bool terms) {
    for (float* node : nodes_) std::fill_n(node, elements_, 0.0f);
    for (std::int64_t i = 0; i < elements_; ++i) {
      theirs_[static_cast<std::size_t>(i)] = terms ? term(i, communicator_.rank()) : 0.0f;
      if (terms) nodes_.front()[i] = theirs_[static_cast<std::size_t>(i)];
    }
  }

  void reduce() {
    const std::int64_t step = step_++;
    for (std::size_t w = 0; w < streams_.size(); ++w)
      streams_[w]->submit([this, step, w] { reduce_as(static_cast<int>(w), step); });
    for (auto& stream : streams_) stream->synchronize();
  }

  void reduce_as(int worker, std::int64_t step) {
    exchange_->begin(worker, step);
    exchange_->publish_scalars(worker);
    const int buckets = static_cast<int>(plan_.buckets.size());
    for (int b = 0; b < buckets; ++b) exchange_->publish(worker, b);
    exchange_->wait_scalars(worker);
    for (int b = 0; b < buckets; ++b) {
      const std::span<const TreeNode> nodes = exchange_->collect(worker, b);
      const ElementRange slice = exchange_->slice(worker, b);
      Tensor sum = backend_.borrow(exchange_->values() + slice.begin, {slice.count()});
      if (slice.count() > 0)
        backend_.tree_sum(*streams_[static_cast<std::size_t>(worker)], nodes, 1.0f, sum);
      exchange_->deliver(worker, b);
    }
    exchange_->finish(worker);
  }

  std::int64_t count_wrong(const float* sums) {
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < elements_; ++i) {
      float expected = 0;
      for (int rank = 0; rank < communicator_.size(); ++rank) expected += term(i, rank);
      if (sums[i] != expected) ++wrong;
    }
    std::int64_t all = 0;
    for (const std::string& text : communicator_.all_gather(std::to_string(wrong)))
      all += std::stoll(text);
    return all;
  }

  // Microseconds of one call on the slowest rank.
  template <typename Call>
  double time(int repeats, const Call& call) {
    communicator_.barrier();
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < repeats; ++i) call();
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    double slowest = 0;
    for (const std::string& text : communicator_.all_gather(fmt::format("{}", us / repeats)))
      slowest = std::max(slowest, std::stod(text));
    return slowest;
  }

  void summarize(std::vector<double>& us, double bytes, Figures& figures) {
    std::sort(us.begin(), us.end());
    figures.us = us[us.size() / 2];
    figures.us_min = us.front();
    figures.us_max = us.back();
    const double ranks = communicator_.size();
    figures.algbw = bytes / figures.us / 1e3;
    figures.busbw = figures.algbw * 2 * (ranks - 1) / ranks;
  }

  Communicator& communicator_;
  Backend& backend_;
  std::int64_t elements_;
  ExchangePlan plan_;
  ShardPlan shards_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<float> theirs_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<float*> nodes_;  // gradient buffers of this rank
  std::int64_t step_ = 0;
};

nlohmann::ordered_json to_json(const Figures& figures) {
  return {{"us", figures.us},       {"us_min", figures.us_min}, {"us_max", figures.us_max},
          {"algbw", figures.algbw}, {"busbw", figures.busbw},   {"wrong", figures.wrong}};
}

int measure_sizes(const Options& options, Communicator& communicator) {
  if (communicator.size() == 1)
    throw AgreedError("one rank has nothing to exchange: mpirun -np 2 lockstep bench allreduce");
  const std::unique_ptr<Backend> backend = make_cpu_backend(parse_isa("auto"));
  nlohmann::ordered_json cases = nlohmann::ordered_json::array();
  std::int64_t wrong = 0;
  const bool prints = communicator.rank() == 0;
  for (std::int64_t bytes = options.min_bytes; bytes <= options.max_bytes;
       bytes *= options.factor) {
    const std::int64_t elements = std::max<std::int64_t>(1, bytes / 4);
    SizeBench bench(communicator, *backend, elements, options.threads);
    if (prints && cases.empty())
      fmt::print(
          "{}; {} thread{} a rank; {}\n"
          "times: median of {} rounds in turns, slowest rank; GB/s: algbw = bytes/time, busbw = "
          "algbw*2(n-1)/n\n\n"
          "{:>12} | {:>11} {:>7} {:>7} {:>5} | {:>11} {:>7} {:>7} {:>5} | {:>6}\n"
          "{:>12} | {:^33} | {:^33} |\n",
          bench.description(), options.threads, options.threads == 1 ? "" : "s",
          World::library_version(), options.rounds, "bytes", "us", "algbw", "busbw", "wrong", "us",
          "algbw", "busbw", "wrong", "faster", "", "lockstep", "MPI_Allreduce");
    const auto [ours, mpi] = bench.measure(options.rounds);
    wrong += ours.wrong + mpi.wrong;
    if (!prints) continue;
    fmt::print(
        "{:>12} | {:>11.1f} {:>7.2f} {:>7.2f} {:>5} | {:>11.1f} {:>7.2f} {:>7.2f} {:>5} | "
        "{:>5.2f}x\n",
        elements * 4, ours.us, ours.algbw, ours.busbw, ours.wrong, mpi.us, mpi.algbw, mpi.busbw,
        mpi.wrong, mpi.us / ours.us);
    std::fflush(stdout);
    cases.push_back({{"bytes", elements * 4},
                     {"lockstep", to_json(ours)},
                     {"mpi", to_json(mpi)},
                     {"faster", mpi.us / ours.us}});
  }
  if (prints && !options.json.empty()) {
    const nlohmann::ordered_json json{{"ranks", communicator.size()},
                                      {"nodes", communicator.nodes()},
                                      {"threads", options.threads},
                                      {"exchange", communicator.description()},
                                      {"mpi", World::library_version()},
                                      {"rounds", options.rounds},
                                      {"cases", cases}};
    write_text(options.json, json.dump(1) + "\n");
  }
  if (wrong > 0) throw AgreedError(fmt::format("{} elements of the sums are wrong", wrong));
  return 0;
}

}  // namespace

void add_bench_allreduce(CLI::App& bench, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = bench.add_subcommand(
      "allreduce", "sums over ranks: the step's exchange beside MPI_Allreduce");
  command->add_option("--min", options->min_bytes, "smallest size in bytes")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--max", options->max_bytes, "largest size")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--factor", options->factor, "from one size to the next")
      ->capture_default_str()
      ->check(CLI::Range(2, 1000000));
  command->add_option("--rounds", options->rounds, "readings of each; their median is reported")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--threads", options->threads, "worker threads of a rank")
      ->capture_default_str()
      ->check(kPositive);
  command->add_option("--transport", options->transport, "as run.transport")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "messages"}));
  command->add_option("--ranks-per-node", options->ranks_per_node, "as run.ranks_per_node")
      ->capture_default_str()
      ->check(kNotNegative);
  command->add_option("--json", options->json, "write the figures to this file too");
  command->footer(
      "Examples:\n"
      "  mpirun -np 2 lockstep bench allreduce --min 100000000\n"
      "  mpirun -np 4 lockstep bench allreduce --ranks-per-node 2 --json allreduce.json\n");
  command->callback([options, &action] {
    action = [options] {
      const auto configure = [&] {
        Config config;
        config.run.transport =
            options->transport == "auto" ? TransportChoice::kAuto : TransportChoice::kMessages;
        config.run.ranks_per_node = options->ranks_per_node;
        return config;
      };
      return run_job(configure, [&](const Config&, Communicator& communicator) {
        return measure_sizes(*options, communicator);
      });
    };
  });
}

}  // namespace lockstep
