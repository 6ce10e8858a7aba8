// Times operation cases on one thread: each is verified and warmed up, then it, the peer's layer in
// either layout take turns, so that a disturbance of the machine hits all of them.
#include "launch/bench/bench_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/dataset/dataset.h"
#include "kernels/cases/case_run.h"
#include "kernels/cases/op_list.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/limits.h"
#include "launch/bench/bench_peer.h"

namespace lockstep {
namespace {

using cases::OpCase;

// Time of this thread on a processor, in seconds: machines are shared, and what others do while it
// waits for its turn says nothing about an operation that runs on one thread.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds_of(const std::function<void()>& work, std::int64_t times) {
  const double start = thread_seconds();
  for (std::int64_t i = 0; i < times; ++i) work();
  return thread_seconds() - start;
}

struct Timing {  // seconds of one run
  double median = 0, quartile_distance = 0, least = 0, most = 0;
};

class Contender {
 public:
  explicit Contender(std::function<void()> work) : work_(std::move(work)) {}

  void warm_up(double sample_seconds) {  // and how often the work fits into one sample
    double elapsed = seconds_of(work_, 1);
    for (; elapsed < sample_seconds; elapsed = seconds_of(work_, times_))
      times_ = std::max(
          times_ + 1, static_cast<std::int64_t>(static_cast<double>(times_) * 1.1 * sample_seconds /
                                                std::max(elapsed, sample_seconds / 10)));
  }
  void sample() { samples_.push_back(seconds_of(work_, times_) / static_cast<double>(times_)); }
  Timing timing() {
    std::ranges::sort(samples_);
    const std::size_t n = samples_.size();
    return {samples_[n / 2], samples_[n * 3 / 4] - samples_[n / 4], samples_.front(),
            samples_.back()};
  }

 private:
  std::function<void()> work_;
  std::int64_t times_ = 1;
  std::vector<double> samples_;
};

std::vector<Timing> time_in_turns(std::vector<Contender> contenders,
                                  const BenchOpsOptions& options) {
  for (Contender& contender : contenders) contender.warm_up(options.sample_ms * 1e-3);
  for (int i = 0; i < options.repetitions; ++i)
    for (Contender& contender : contenders) contender.sample();
  std::vector<Timing> timings;
  for (Contender& contender : contenders) timings.push_back(contender.timing());
  return timings;
}

struct Limits {                 // of one core, measured
  double flops = 0, bytes = 0;  // a second
};

// `least` of all samples: a limit is what the machine does undisturbed.
Limits measure_limits(Isa isa, const BenchOpsOptions& options) {
  const LimitKernels& kernels = limit_kernels(isa);
  constexpr std::int64_t kRounds = 100'000, kElements = 16'000'000;
  std::vector<float> a(kElements, 1), b(kElements, 2), y(kElements);
  volatile float sink = 0;
  const std::vector<Timing> timings =
      time_in_turns({Contender([&] { sink = kernels.multiply_add(kRounds); }),
                     Contender([&] { kernels.triad(3, a.data(), b.data(), y.data(), kElements); })},
                    options);
  return {static_cast<double>(kRounds * kernels.flops_per_round) / timings[0].least,
          12.0 * static_cast<double>(kElements) / timings[1].least};
}

// "" or what is wrong with the case's result.
std::string complaint_about(Backend& backend, const OpCase& c, const cases::Values& values) {
  try {
    cases::CaseRun run(backend, c, values);
    run.run();
    check_outputs(c, reference_results(c, values), run.collect());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

struct Row {
  const OpCase* op_case;
  Timing own;
  std::vector<std::pair<std::string, Timing>> peers;
  double limit = 0;  // of work a second; 0: unknown, as the operation does with less work

  double work() const { return op_case->flops > 0 ? op_case->flops : op_case->bytes; }
  double rate(const Timing& timing) const { return work() / timing.median * 1e-9; }
  std::string unit() const { return op_case->flops > 0 ? "GFLOP/s" : "GB/s"; }
  double share() const { return rate(own) * 1e9 / limit; }
};

// How fast as much memory as a case uses is read alone, and read and written in place: what a case
// that lies in a cache can reach, which is far above main memory's rate.
class MemoryLimit {
 public:
  MemoryLimit(const LimitKernels& kernels, const OpCase& c) : kernels_(kernels) {
    std::size_t bytes = 0;
    for (const cases::Argument& argument : c.arguments)
      if (argument.role != cases::Role::kHidden && argument.role != cases::Role::kScratch)
        bytes += static_cast<std::size_t>(argument.shape.elements()) * size_of(argument.type);
    // Halves and whole begin on a cache line, as the tensors of the case do.
    half_ = static_cast<std::int64_t>(bytes / sizeof(float)) / (2 * kLine) * kLine + kLine;
    values_ = host_tensor({2 * half_}, DType::kFloat32);
    std::ranges::fill(values_.span<float>(), 1.0F);
  }
  Contender triad() {
    return Contender([this] {
      float* const y = values_.data<float>() + half_;
      kernels_.triad(0.5f, values_.data<float>(), y, y, half_);
    });
  }
  Contender sum() {
    return Contender([this] { sink_ = kernels_.sum(values_.data<float>(), 2 * half_); });
  }
  double rate(const Timing& triad, const Timing& sum) const {  // bytes a second
    const auto half = static_cast<double>(half_);
    return std::max(12 * half / triad.least, 8 * half / sum.least);
  }

 private:
  static constexpr std::int64_t kLine = 16;  // floats
  const LimitKernels& kernels_;
  Tensor values_;
  std::int64_t half_ = 0;
  volatile float sink_ = 0;
};

Row time_case(Backend& backend, const LimitKernels& kernels, const Limits& limits, const OpCase& c,
              const cases::Values& values, const Peer& peer, const BenchOpsOptions& options) {
  cases::CaseRun run(backend, c, values);
  std::vector<Contender> contenders = {Contender([&run] { run.run(); })};
  std::vector<PeerRun> peers;
  if (peer.runs != nullptr) peers = peer.runs(c.peer);
  for (const PeerRun& peer_run : peers) contenders.emplace_back(peer_run.run);
  MemoryLimit memory(kernels, c);
  if (c.flops == 0) {
    contenders.push_back(memory.triad());
    contenders.push_back(memory.sum());
  }
  const std::vector<Timing> timings = time_in_turns(std::move(contenders), options);
  Row row{&c, timings[0], {}};
  for (std::size_t i = 0; i < peers.size(); ++i)
    row.peers.emplace_back(peers[i].layout, timings[i + 1]);
  if (c.flops == 0)
    row.limit = memory.rate(timings[timings.size() - 2], timings.back());
  else if (!c.saves_flops)
    row.limit = limits.flops;
  return row;
}

void print_row(const Row& row) {
  std::string peers;
  for (const auto& [layout, timing] : row.peers)
    peers += fmt::format("  {} {:7.1f} ({:.2f}x)", layout, row.rate(timing),
                         timing.median / row.own.median);
  const std::string share =
      row.limit > 0 ? fmt::format("{:5.1f} % of {:5.1f}", 100 * row.share(), row.limit * 1e-9)
                    : fmt::format("{:<16}", "as plain sums");
  fmt::print("{:<66} {:>10.1f} us ±{:4.1f} %  {:8.1f} {:<7} {}{}\n", row.op_case->name(),
             row.own.median * 1e6, 100 * row.own.quartile_distance / row.own.median,
             row.rate(row.own), row.unit(), share, peers);
  std::fflush(stdout);
}

nlohmann::json to_json(const Timing& timing, const Row& row) {
  return {{"seconds", timing.median},
          {"quartile_distance", timing.quartile_distance},
          {"least", timing.least},
          {"most", timing.most},
          {"rate", row.rate(timing)}};
}

void write_json(const std::string& path, std::string_view isa, const Limits& limits,
                const Peer& peer, const std::vector<Row>& rows) {
  nlohmann::json file = {{"isa", isa},
                         {"peer", peer.name},
                         {"limit_gflops", limits.flops * 1e-9},
                         {"limit_gbytes", limits.bytes * 1e-9},
                         {"cases", nlohmann::json::array()}};
  for (const Row& row : rows) {
    nlohmann::json entry = to_json(row.own, row);
    entry["operation"] = row.op_case->operation;
    entry["label"] = row.op_case->label;
    entry["unit"] = row.unit();
    if (row.limit > 0) {
      entry["limit"] = row.limit * 1e-9;
      entry["share_of_limit"] = row.share();
    }
    for (const auto& [layout, timing] : row.peers) entry["peer"][layout] = to_json(timing, row);
    file["cases"].push_back(std::move(entry));
  }
  std::ofstream stream(path);
  stream << file.dump(2) << '\n';
  if (!stream.flush()) throw Error("{}: cannot be written; choose another --json file", path);
}

Products products_named(const std::string& name, Isa isa) {
  if (name == "float32") return Products::kFloat32;
  const Products fastest = bfloat16_products(isa);
  if (name == "bfloat16") return fastest;
  if (name == "bfloat16-dots") return Products::kBFloat16Dots;
  if (name == "bfloat16-fma") return Products::kBFloat16Fma;
  throw Error(
      "bench ops: --products {}: use float32, bfloat16 (the faster form on this processor), "
      "bfloat16-dots (vdpbf16ps) or bfloat16-fma (float32 multiply-adds)",
      name);
}

}  // namespace

int bench_ops(const BenchOpsOptions& options) {
  if (options.repetitions < 1) throw Error("bench ops: at least one repetition is needed");
  flush_denormals_to_zero();
  const Isa isa = parse_isa(options.isa);
  const Products products = products_named(options.products, isa);
  const auto backend = make_cpu_backend(isa, products);
  std::vector<OpCase> chosen;
  for (OpCase& c : cases::all_cases())
    if (c.use != cases::Use::kTest && c.name().find(options.filter) != std::string::npos)
      chosen.push_back(std::move(c));
  if (chosen.empty())
    throw Error(
        "bench ops: no benchmark case has \"{}\" in its name; an operation's name, such as "
        "\"conv_forward\", or a part of its shape is looked for",
        options.filter);

  const Peer peer = options.peer ? load_peer() : Peer{.name = "", .why_not = "not asked for"};
  const Limits limits = measure_limits(isa, options);
  fmt::print("{}, one thread: {:.1f} GFLOP/s in registers, {:.1f} GB/s from memory\n",
             backend->description(), limits.flops * 1e-9, limits.bytes * 1e-9);
  fmt::print(
      "shares: of GFLOP/s in registers, or of the GB/s at which as much memory as the case uses,\n"
      "mostly in a cache, is read or changed; \"as plain sums\": Winograd multiplies less\n");
  if (peer.name.empty())
    fmt::print("no peer beside it: {}\n\n", peer.why_not);
  else
    fmt::print("beside it {}: its rate, and its time over ours\n\n", peer.name);
  std::vector<Row> rows;
  int wrong = 0;
  const std::uint64_t seed = cases::test_seed();
  for (const OpCase& c : chosen) {
    cases::Values values = make_values(c, seed);
    if (products != Products::kFloat32) values = with_bfloat16_operands(c, values);
    const std::string complaint =
        options.verify ? complaint_about(*backend, c, values) : std::string();
    if (!complaint.empty()) {
      ++wrong;
      fmt::print("WRONG (LOCKSTEP_TEST_SEED={}): {}\n", seed, complaint);
      continue;
    }
    rows.push_back(time_case(*backend, limit_kernels(isa), limits, c, values, peer, options));
    print_row(rows.back());
  }
  if (!options.json.empty()) write_json(options.json, backend->isa(), limits, peer, rows);
  return wrong == 0 ? 0 : 1;
}

}  // namespace lockstep
