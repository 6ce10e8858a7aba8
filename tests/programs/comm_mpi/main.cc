// The MPI form of Communicator and Exchange under mpirun.
//   comm_mpi shared | messages         all checks
//   comm_mpi nodes-1 | nodes-2 | ...   the same with every so many ranks as if on a node of their
//   own comm_mpi no-segment | no-control | no-segment-nodes-2
//                                      the same where rank 0 can create no large, or no segment
//   comm_mpi fail-shared | fail-messages | fail-nodes-2 | stopped-shared | ...
//                                      the last rank throws, or rank 1 stops, in the midst of a
//                                      step
//   comm_mpi bench | bench-messages | bench-nodes-2
//                                      time of an exchange beside the sums alone
#include <sys/resource.h>

#include <bit>
#include <csignal>
#include <random>

#include "runtime/communication/futex.h"
#include "runtime/communication/world.h"
#include "tests/programs/comm_mpi/bench.h"
#include "tests/runtime/collective_checks.h"
#include "tests/runtime/exchange_steps.h"

namespace lockstep {
namespace {

using testing::HostMemory;
using testing::Reference;
using testing::require;
using testing::StepsCase;

void limit_files(rlim_t bytes) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = bytes;
  setrlimit(RLIMIT_FSIZE, &limit);
}

void check_steps(Communicator& communicator, StepsCase test) {
  const Reference reference(test);
  HostMemory device;
  const auto exchange = communicator.make_exchange(testing::plan_of(test),
                                                   ShardPlan(test.shards, test.workers), device);
  const std::string message = testing::run_rank(
      test, reference, communicator.rank(), [&] { return communicator.announce_failure(); },
      *exchange);
  if (!message.empty())
    throw Error("{} (shards {}, workers {}, elements {}, seed {})", message, test.shards,
                fmt::join(test.workers, " "), test.elements, test.seed);
  communicator.barrier();
}

void check_all_steps(Communicator& communicator, PlanReduction reduction) {
  // All ranks must draw the same cases.
  std::mt19937 random(static_cast<unsigned>(
      std::stoul(communicator.broadcast(std::to_string(std::random_device{}()), 0))));
  for (std::int64_t shards : {4, 16}) {
    for (int workers : {1, 2, 3}) {
      for (std::int64_t elements : {1, 4095, 4097, 20001}) {
        StepsCase test;
        test.shards = std::max<std::int64_t>(
            shards, std::bit_ceil(static_cast<std::uint64_t>(communicator.size())));
        test.workers.assign(static_cast<std::size_t>(communicator.size()), workers);
        test.workers.back() += static_cast<int>(random() % 2);
        test.elements = elements;
        test.bucket_blocks = static_cast<std::int64_t>(1 + random() % 4);
        test.norms = random() % 2 == 0;
        test.seed = random();
        test.reduction = reduction;
        check_steps(communicator, test);
      }
    }
  }
}

// What the end of a mode's name asks for.
Placement placement_of(const std::string& mode) {
  if (mode.ends_with("messages")) return {Transport::kMessages};
  const std::size_t at = mode.find("nodes-");
  return {Transport::kAuto, at == std::string::npos ? 0 : std::stoi(mode.substr(at + 6))};
}

void check_all_reduce(Communicator& communicator) {
  std::vector<float> values(1001);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i) + static_cast<float>(communicator.rank());
  communicator.all_reduce(values);
  const auto ranks = static_cast<float>(communicator.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    require(values[i] == ranks * static_cast<float>(i) + ranks * (ranks - 1) / 2, "all_reduce");
}

void check_description(const Communicator& communicator, const std::string& mode) {
  const std::string text = communicator.description();
  std::string expected = "one shared segment";
  if (mode == "messages") expected = "messages (as configured)";
  if (communicator.nodes() > 1 && mode.starts_with("nodes"))
    expected = "nodes (as configured), one shared segment a node, messages between their first";
  if (mode.starts_with("no-segment")) expected = "ftruncate of";
  if (mode == "no-control")  // a line for the failure flag, and one a rank
    expected = fmt::format("ranks (no shared segment: ftruncate of {} bytes",
                           kCacheLine * static_cast<std::size_t>(1 + communicator.size()));
  if (mode == "fast") expected = "MPI_Allreduce a bucket";
  if (mode == "fast-bfloat16") expected = "gradients as bfloat16, sums in float32";
  if (communicator.size() == 1) expected = "1 rank";
  require(text.find(expected) != std::string::npos,
          fmt::format("'{}' where '{}' is due", text, expected));
  if (communicator.rank() == 0) fmt::print("{}: {}\n", mode, text);
}

void check(World& world, const std::string& mode) {
  const bool leader = world.rank() == 0;
  if (mode == "no-control" && leader) limit_files(0);
  const auto communicator = world.make_communicator(placement_of(mode));
  if (mode.starts_with("no-segment") && leader) limit_files(50000);
  testing::check_collectives(*communicator);
  testing::check_node_memory(*communicator);
  check_all_reduce(*communicator);
  check_all_steps(*communicator, mode == "fast"            ? PlanReduction::kFast
                                 : mode == "fast-bfloat16" ? PlanReduction::kFastBFloat16
                                                           : PlanReduction::kTree);
  check_description(*communicator, mode);
}

void break_in_a_step(World& world, Communicator& communicator, bool stop) {
  StepsCase test;
  test.shards = 4;
  test.workers.assign(static_cast<std::size_t>(communicator.size()), 1);
  test.elements = 50000;
  test.bucket_blocks = 100;
  ExchangePlan plan = testing::plan_of(test);
  if (stop) plan.patience_seconds = 2;
  HostMemory device;
  const auto exchange =
      communicator.make_exchange(plan, ShardPlan(test.shards, test.workers), device);
  exchange->begin(0, 7);
  if (stop && world.rank() == 1) std::raise(SIGSTOP);
  if (!stop && world.rank() == world.size() - 1)
    throw Error("rank {} breaks on purpose in step {}", world.rank(), 7);
  exchange->publish(0, 0);
  exchange->collect(0, 0);
  throw Error("rank {} did not notice", world.rank());
}

void run(World& world, const std::string& mode) {
  if (mode.starts_with("fail") || mode.starts_with("stopped")) {
    const auto communicator = world.make_communicator(placement_of(mode));
    try {
      break_in_a_step(world, *communicator, mode.starts_with("stopped"));
    } catch (const Error& error) {
      world.abort(communicator->announce_failure() ? error.what() : "", 3);
    }
  } else if (mode.starts_with("bench")) {
    const auto communicator = world.make_communicator(placement_of(mode));
    testing::bench_exchange(*communicator);
  } else {
    check(world, mode);
  }
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  lockstep::World world(&argc, &argv);
  try {
    if (argc != 2) throw lockstep::Error("comm_mpi takes one mode, not {} arguments", argc - 1);
    lockstep::run(world, argv[1]);
  } catch (const std::exception& error) {
    world.abort(error.what(), 1);
  }
}
