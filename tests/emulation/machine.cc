#include "tests/emulation/machine.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>

#include "kernels/core/error.h"
#include "tests/emulation/block.h"
#include "tests/emulation/shared_memory.h"

// Written at every switch to another thread of the block.
lockstep::emulation::Index3 threadIdx, blockIdx;
lockstep::gpu::Extent blockDim, gridDim;

namespace lockstep::emulation {

namespace {

constexpr int kMostThreads = 1024;
constexpr std::size_t kSharedRegion = 512 << 10;

Fiber host;  // the thread that called run_grid
const std::function<void()>* body = nullptr;
const gpu::Launch* running_launch = nullptr;
std::string failure;
std::uint64_t random_state = 1;

Options options_from_environment() {
  Options from;
  if (const char* order = std::getenv("EMULATION_ORDER")) {
    const std::string name = order;
    if (name == "forward")
      from.order = Order::kForward;
    else if (name == "reverse")
      from.order = Order::kReverse;
    else if (name == "random")
      from.order = Order::kRandom;
    else
      throw Error("EMULATION_ORDER is '{}', not forward, reverse or random", name);
  }
  if (const char* seed = std::getenv("EMULATION_SEED")) from.seed = std::strtoull(seed, nullptr, 0);
  return from;
}

void switch_to(Thread* next) {
  Block& b = block();
  Thread* const from = b.running;
  if (from == next) return;
  b.running = next;
  if (next != nullptr) threadIdx = next->place;
  Fiber& fiber = next != nullptr ? next->fiber : host;
  fiber.resume(from != nullptr ? from->fiber : host);
}

// The next thread to run; null, the host, where none is ready.
Thread* take_ready() {
  Block& b = block();
  if (b.ready.empty()) return nullptr;
  std::size_t place = b.ready.size() - 1;
  if (options().order == Order::kRandom) {  // xorshift64 (Marsaglia 2003)
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    place = static_cast<std::size_t>((random_state >> 32) * b.ready.size() >> 32);
  }
  const int index = b.ready[place];
  b.ready[place] = b.ready.back();
  b.ready.pop_back();
  return &b.threads[static_cast<std::size_t>(index)];
}

void make_ready(Thread& thread) {
  thread.state = Thread::State::kReady;
  block().ready.push_back(thread.index);
}

void sort_ready() {  // threads are taken from the back
  auto& ready = block().ready;
  if (options().order == Order::kForward) std::ranges::sort(ready, std::greater<>());
  if (options().order == Order::kReverse) std::ranges::sort(ready);
}

std::string text_of(Site site) {
  return fmt::format("{}:{}", site.file, site.line);
}

// Where the threads of a block that cannot go on stand, a line each place.
std::string standstill() {
  std::map<std::string, std::pair<int, int>> places;  // to how many, and the first of them
  for (int i = 0; i < block().count; ++i) {
    const Thread& thread = block().threads[static_cast<std::size_t>(i)];
    std::string place = "have exited";
    if (thread.state == Thread::State::kAtBarrier)
      place = "wait at __syncthreads, " + text_of(thread.site);
    if (thread.state == Thread::State::kAtWarpOperation)
      place = "wait at a warp operation, " + text_of(thread.site);
    ++places.try_emplace(place, 0, i).first->second.first;
  }
  std::string text;
  for (const auto& [place, threads] : places)
    text += fmt::format("\n  {} threads, the first of them {}, {}", threads.first, threads.second,
                        place);
  return text;
}

void release_block() {
  Block& b = block();
  if (b.alive < b.count) fail("threads have exited while others wait at a barrier" + standstill());
  b.barrier_result = b.predicates;
  b.waiting = b.predicates = 0;
  ++b.epoch;
  for (int i = 0; i < b.count; ++i) {
    Thread& thread = b.threads[static_cast<std::size_t>(i)];
    if (thread.state == Thread::State::kAtBarrier) make_ready(thread);
  }
  sort_ready();
}

// Whether every lane of the caller's mask has arrived at the same operation.
bool warp_complete(const Thread& caller) {
  Block& b = block();
  const int first = caller.index & ~31;
  for (unsigned rest = caller.mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    const std::string_view where = "warp operation";
    if (first + lane >= b.count)
      fail(fmt::format("{} at {}: the mask names lane {}, which does not exist", where,
                       text_of(caller.site), lane));
    const Thread& other = b.threads[static_cast<std::size_t>(first + lane)];
    if (other.state == Thread::State::kExited)
      fail(fmt::format("{} at {}: the mask names lane {}, which has exited", where,
                       text_of(caller.site), lane));
    if (other.state != Thread::State::kAtWarpOperation) return false;
    if (other.mask != caller.mask || other.operation != caller.operation)
      fail(fmt::format("{}s do not match: {} with mask {:#x}, {} with mask {:#x}", where,
                       text_of(caller.site), caller.mask, text_of(other.site), other.mask));
  }
  return true;
}

void finish_warp(const Thread& caller) {
  Thread* const warp = &block().threads[static_cast<std::size_t>(caller.index & ~31)];
  const unsigned mask = caller.mask;
  std::uint64_t ballot = 0;
  unsigned epoch = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    Thread& thread = warp[std::countr_zero(rest)];
    if (thread.operation == WarpOperation::kBallot)
      ballot |= (thread.value & 1) << (thread.index & 31);
    if (thread.operation == WarpOperation::kShuffle && thread.source >= 0 &&
        (mask >> thread.source & 1) == 0)
      fail(fmt::format("the shuffle at {} reads lane {}, which does not take part",
                       text_of(thread.site), thread.source));
    thread.result = thread.value;
    if (thread.operation == WarpOperation::kShuffle && thread.source >= 0)
      thread.result = warp[thread.source].value;
    epoch = std::max(epoch, thread.warp_epoch);
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    Thread& thread = warp[std::countr_zero(rest)];
    if (thread.operation == WarpOperation::kBallot) thread.result = ballot;
    if (thread.operation == WarpOperation::kSync) thread.warp_epoch = epoch + 1;
    make_ready(thread);
  }
  sort_ready();
}

void thread_main() {
  fiber_started();
  for (;;) {
    (*body)();
    Block& b = block();
    b.running->state = Thread::State::kExited;
    --b.alive;
    if (b.alive > 0 && b.waiting == b.alive) release_block();
    switch_to(take_ready());
  }
}

char* map_memory(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw Error("{} bytes for the emulated GPU cannot be had", bytes);
  return static_cast<char*>(memory);
}

void make_threads(int count) {
  Block& b = block();
  if (b.stacks == nullptr) {
    b.stacks = map_memory(Fiber::stack_bytes() * kMostThreads);
    b.stacks_end = b.stacks + Fiber::stack_bytes() * kMostThreads;
    b.shared = map_memory(kSharedRegion);
    b.shared_end = b.shared + kSharedRegion;
    b.threads.reserve(kMostThreads);  // fibers know their address
  }
  while (static_cast<int>(b.threads.size()) < count) {
    Thread& thread = b.threads.emplace_back();
    thread.index = static_cast<int>(b.threads.size()) - 1;
    thread.fiber = Fiber(b.stacks + Fiber::stack_bytes() * b.threads.size() - Fiber::stack_bytes(),
                         thread_main);
  }
}

void run_block(std::uint64_t number) {
  Block& b = block();
  b.number = static_cast<std::uint32_t>(number);
  blockIdx = {b.number % gridDim.x, b.number / gridDim.x % gridDim.y,
              b.number / gridDim.x / gridDim.y};
  b.alive = b.count;
  b.waiting = b.predicates = 0;
  b.epoch = 0;
  b.ready.clear();
  poison_shared();
  for (int i = 0; i < b.count; ++i) {
    b.threads[static_cast<std::size_t>(i)].warp_epoch = 0;
    make_ready(b.threads[static_cast<std::size_t>(i)]);
  }
  sort_ready();
  switch_to(take_ready());
  if (failure.empty() && b.alive > 0)
    failure =
        fmt::format("{}: block {} waits for ever{}", running_launch->name, b.number, standstill());
  if (failure.empty()) return;
  for (Thread& thread : b.threads) thread.fiber.restart();  // they are somewhere inside the kernel
  throw Error(failure);
}

}  // namespace

Options& options() {
  static Options chosen = options_from_environment();
  return chosen;
}

Block& block() {
  static Block running;
  return running;
}

std::string name_of(const Thread& thread) {
  return fmt::format("thread ({}, {}, {}) of block ({}, {}, {}) of {}", thread.place.x,
                     thread.place.y, thread.place.z, blockIdx.x, blockIdx.y, blockIdx.z,
                     running_launch->name);
}

void fail(std::string message) {
  if (failure.empty()) failure = message + "; " + name_of(*block().running);
  message = {};
  switch_to(nullptr);  // never to return: the fiber's stack is made anew
  std::abort();
}

void trap(const char* what, Site site) {
  fail(fmt::format("{} at {}", what, text_of(site)));
}

int lane() {
  return block().running->index & 31;
}

int block_barrier(bool predicate, Site site) {
  Block& b = block();
  Thread& thread = *b.running;
  thread.site = site;
  thread.state = Thread::State::kAtBarrier;
  if (b.waiting == 0)
    b.barrier = site;
  else if (b.barrier.line != site.line)
    fail(fmt::format("threads of one block have reached two barriers, {} and {}",
                     text_of(b.barrier), text_of(site)));
  ++b.waiting;
  b.predicates += predicate ? 1 : 0;
  if (b.waiting == b.alive) release_block();
  switch_to(take_ready());
  return b.barrier_result;
}

std::uint64_t warp_operation(WarpOperation operation, unsigned mask, std::uint64_t value,
                             int source, Site site) {
  Thread& thread = *block().running;
  thread.site = site;
  if ((mask >> (thread.index & 31) & 1) == 0)
    fail(fmt::format("warp operation at {}: the mask does not name the lane that calls it",
                     text_of(site)));
  thread.operation = operation;
  thread.mask = mask;
  thread.value = value;
  thread.source = source;
  thread.state = Thread::State::kAtWarpOperation;
  if (warp_complete(thread)) finish_warp(thread);
  switch_to(take_ready());
  return thread.result;
}

void run_grid(const gpu::Launch& launch, const std::function<void()>& thread_body) {
  static std::mutex one_at_a_time;  // ranks may be threads
  const std::scoped_lock lock(one_at_a_time);
  const auto [gx, gy, gz] = launch.grid;
  const auto [bx, by, bz] = launch.block;
  const std::uint64_t count = std::uint64_t{bx} * by * bz;
  if (count == 0 || count > kMostThreads || bz > 64)
    throw Error("{}: a block of ({}, {}, {}) threads", launch.name, bx, by, bz);
  if (gx == 0 || gy == 0 || gz == 0 || gx > 0x7fffffffu || gy > 65535 || gz > 65535)
    throw Error("{}: a grid of ({}, {}, {}) blocks", launch.name, gx, gy, gz);
  Block& b = block();
  if (b.running != nullptr) throw Error("{} is launched by a kernel", launch.name);
  make_threads(static_cast<int>(count));
  b.count = static_cast<int>(count);
  ++b.launch;
  body = &thread_body;
  running_launch = &launch;
  failure.clear();
  random_state = options().seed * 0x9e3779b97f4a7c15 | 1;
  blockDim = launch.block;
  gridDim = launch.grid;
  begin_shared(launch.shared_bytes);
  for (int i = 0; i < b.count; ++i) {
    const auto u = static_cast<unsigned>(i);
    b.threads[static_cast<std::size_t>(i)].place = {u % bx, u / bx % by, u / bx / by};
  }
  const std::uint64_t blocks = std::uint64_t{gx} * gy * gz;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    run_block(options().order == Order::kReverse ? blocks - 1 - i : i);
    check_shared_gaps();
  }
}

}  // namespace lockstep::emulation
