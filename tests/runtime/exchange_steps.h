// Drives an Exchange as a training step does, with leaves that are pure functions of (seed, step,
// shard, element), and compares every bit with a serial sum over the fixed tree. Used with ranks as
// threads and under mpirun.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/core/philox.h"
#include "runtime/communication/communicator.h"

namespace lockstep::testing {

// The exchange only borrows memory through its device.
class HostMemory final : public Device {
 public:
  std::string description() const override { return "host memory"; }
  Tensor empty(const Shape&, DType) override { throw Error("host memory allocates {}", "nothing"); }
  Tensor zeros(const Shape& shape, DType type) override { return empty(shape, type); }
  Tensor empty_pinned(const Shape& shape, DType type) override { return empty(shape, type); }
  void copy(const Tensor&, Tensor&) override { throw Error("host memory copies {}", "nothing"); }
  void copy_async(Stream&, const Tensor& from, Tensor& to) override { copy(from, to); }
  Tensor to_host(const Tensor& tensor) override { return tensor; }
  std::unique_ptr<Stream> make_stream(int) override { return nullptr; }
};

// How a worker reads and writes what the exchange hands out: the host's memory, or that of a device
// which only its operations reach.
class StepsMemory {
 public:
  StepsMemory() = default;
  StepsMemory(Device& device, Stream& stream) : device_(&device), stream_(&stream) {}

  Stream* stream() const { return stream_; }

  std::vector<float> read(const float* from, std::int64_t count) {
    if (stream_ == nullptr) return {from, from + count};
    Tensor host = device_->empty_pinned({count}, DType::kFloat32);
    const Tensor there = device_->borrow(const_cast<float*>(from), {count});
    device_->copy_async(*stream_, there, host);
    stream_->synchronize();
    return {host.data<float>(), host.data<float>() + count};
  }
  // On a device: queued, no more.
  void write(const std::vector<float>& values, float* to) {
    const auto count = static_cast<std::int64_t>(values.size());
    if (stream_ == nullptr) {
      std::copy(values.begin(), values.end(), to);
      return;
    }
    const Tensor host = device_->empty_pinned({count}, DType::kFloat32);
    std::copy(values.begin(), values.end(), host.data<float>());
    Tensor there = device_->borrow(to, {count});
    device_->copy_async(*stream_, host, there);
    queued_.push_back(host);
  }

 private:
  Device* device_ = nullptr;
  Stream* stream_ = nullptr;
  std::vector<Tensor> queued_;
};

struct StepsCase {
  std::int64_t shards = 1;
  std::vector<int> workers;  // of each rank
  std::int64_t elements = 1;
  std::int64_t bucket_blocks = 1;  // of all buckets but the one at the beginning
  bool norms = false;
  int steps = 3;
  std::int64_t first_step = 0;
  std::uint64_t seed = 0;
  PlanReduction reduction = PlanReduction::kTree;
};

inline std::string text_of(const StepsCase& test) {  // for messages
  return fmt::format("shards {}, workers {}, elements {}, bucket blocks {}, norms {}, seed {}",
                     test.shards, fmt::join(test.workers, " "), test.elements, test.bucket_blocks,
                     test.norms, test.seed);
}

constexpr int kScalars = 3, kStates = 2;

inline ExchangePlan plan_of(const StepsCase& test) {
  ExchangePlan plan;
  plan.elements = test.elements;
  for (std::int64_t end = test.elements; end > 0;) {
    const std::int64_t blocks = (end + kBlockElements - 1) / kBlockElements;
    const std::int64_t begin =
        std::max<std::int64_t>(0, blocks - test.bucket_blocks) * kBlockElements;
    plan.buckets.push_back({begin, end});
    end = begin;
  }
  plan.scalars = kScalars;
  plan.states = kStates;
  plan.patience_seconds = 60;
  plan.reduction = test.reduction;
  return plan;
}

// Magnitudes differ by up to 2^8, so that another order of the sum gives other bits. Where the
// order is not ours: small integers, whose sums bfloat16 holds too.
inline float leaf(const StepsCase& test, std::int64_t step, std::int64_t shard, std::int64_t i) {
  const RandomKey key{test.seed, RandomPurpose::kSynthetic, 0, static_cast<std::uint64_t>(step)};
  const PhiloxBlock words =
      key.block(static_cast<std::uint64_t>(shard), static_cast<std::uint32_t>(i));
  if (test.reduction != PlanReduction::kTree) return static_cast<float>(words[0] % 17) - 8.0f;
  return std::ldexp(to_unit_float(words[0]) - 0.5f, static_cast<int>(words[1] % 9));
}

inline double scalar(const StepsCase& test, std::int64_t step, std::int64_t shard, int index) {
  return static_cast<double>(step * 1000 + shard * kScalars + index) +
         1e-3 * double(test.seed % 97);
}

inline float initial(std::int64_t i) {
  return static_cast<float>(i % 1001) * 0.01f;
}

// The tree from its definition, from the root down.
inline float serial_sum(const StepsCase& test, std::int64_t step, std::int64_t begin,
                        std::int64_t end, std::int64_t i) {
  if (end - begin == 1) return leaf(test, step, begin, i);
  const std::int64_t middle = begin + (end - begin) / 2;
  return serial_sum(test, step, begin, middle, i) + serial_sum(test, step, middle, end, i);
}

inline double block_norm(const float* sum, std::int64_t begin, std::int64_t end) {
  double norm = 0;
  for (std::int64_t i = begin; i < end; ++i) norm += double(sum[i]) * double(sum[i]);
  return norm;
}

inline float update(float value, float sum, float scale) {
  return value * 0.5f + sum * scale;
}

inline float scale_of(const StepsCase& test, const std::vector<double>& norms) {
  double total = 0;
  for (double norm : norms) total += norm;
  return test.norms ? static_cast<float>(1 / (1 + std::sqrt(total))) : 1.0f;
}

// Weights before each step and after the last; state[k] of the last.
struct Reference {
  explicit Reference(const StepsCase& test) {
    const auto size = static_cast<std::size_t>(test.elements);
    std::vector<float> value(size), sum(size);
    state.assign(size, 0.0f);
    for (std::size_t i = 0; i < size; ++i)
      value[i] = state[i] = initial(static_cast<std::int64_t>(i));
    values.push_back(value);
    for (int s = 0; s < test.steps; ++s) {
      std::vector<double> norms;
      for (std::int64_t i = 0; i < test.elements; ++i)
        sum[static_cast<std::size_t>(i)] = serial_sum(test, test.first_step + s, 0, test.shards, i);
      for (std::int64_t i = 0; i < test.elements; i += kBlockElements)
        norms.push_back(block_norm(sum.data(), i, std::min(test.elements, i + kBlockElements)));
      const float scale = scale_of(test, norms);
      for (std::size_t i = 0; i < size; ++i) {
        value[i] = update(value[i], sum[i], scale);
        state[i] += sum[i];
      }
      values.push_back(value);
    }
  }
  std::vector<std::vector<float>> values;
  std::vector<float> state;
};

inline void expect_equal(const float* got, const std::vector<float>& want,
                         const std::string& what) {
  if (want.empty() || std::memcmp(got, want.data(), want.size() * sizeof(float)) == 0) return;
  for (std::size_t i = 0; i < want.size(); ++i)
    if (std::memcmp(&got[i], &want[i], sizeof(float)) != 0)
      throw Error("{}: element {} is {:a}, not {:a}", what, i, got[i], want[i]);
}

class WorkerSteps {
 public:
  WorkerSteps(const StepsCase& test, const Reference& reference, int rank, int worker,
              Exchange& exchange, StepsMemory& memory)
      : test_(test),
        reference_(reference),
        plan_(plan_of(test)),
        range_(ShardPlan(test.shards, test.workers).of_worker(rank, worker)),
        worker_(worker),
        name_(fmt::format("rank {} worker {}", rank, worker)),
        exchange_(exchange),
        memory_(memory) {}

  void step(int index) {
    step_ = test_.first_step + index;
    exchange_.begin(worker_, step_);
    expect_equal(memory_.read(exchange_.values(), test_.elements).data(),
                 reference_.values[static_cast<std::size_t>(index)],
                 fmt::format("{}: weights before step {}", name_, step_));
    for (std::int64_t shard = range_.begin; shard < range_.end; ++shard) count(shard);
    for (std::size_t slot = 0; slot < nodes_.size(); ++slot)
      memory_.write(nodes_[slot], exchange_.node(worker_, static_cast<int>(slot)));
    nodes_.clear();
    exchange_.publish_scalars(worker_);
    // Any order: later steps start elsewhere.
    const int buckets = static_cast<int>(plan_.buckets.size());
    for (int b = 0; b < buckets; ++b) exchange_.publish(worker_, (b + index) % buckets);
    exchange_.wait_scalars(worker_);
    check_scalars();
    if (test_.norms) {
      for (int b = 0; b < buckets; ++b) sum(b);
      exchange_.publish_norms(worker_);
      exchange_.wait_norms(worker_);
    }
    const std::int64_t blocks = (test_.elements + kBlockElements - 1) / kBlockElements;
    const float scale =
        test_.norms ? scale_of(test_, {exchange_.block_norms(), exchange_.block_norms() + blocks})
                    : 1.0f;
    for (int b = 0; b < buckets; ++b) {
      if (!test_.norms) sum(b);
      const ElementRange slice = exchange_.slice(worker_, b);
      if (slice.count() > 0) {
        const std::vector<float> sum =
            memory_.read(exchange_.sum_target(worker_, b), slice.count());
        std::vector<float> values = memory_.read(exchange_.values() + slice.begin, slice.count());
        for (std::size_t i = 0; i < sum.size(); ++i) values[i] = update(values[i], sum[i], scale);
        for (int k = 0; k < kStates; ++k) {
          float* const state = exchange_.state(k) + slice.begin;
          std::vector<float> states = memory_.read(state, slice.count());
          for (std::size_t i = 0; i < sum.size(); ++i) states[i] += sum[i];
          memory_.write(states, state);
        }
        memory_.write(values, exchange_.values() + slice.begin);
      }
      exchange_.deliver(worker_, b);
    }
    check_scalars();  // still there while fast ranks go on
  }

  void finish() {
    exchange_.finish(worker_);
    expect_equal(memory_.read(exchange_.values(), test_.elements).data(), reference_.values.back(),
                 name_ + ": weights at the end");
  }

 private:
  // A binary counter, as the Reducer counts, of what goes to the worker's buffers.
  void count(std::int64_t shard) {
    std::vector<float>& top = nodes_.emplace_back();
    for (std::int64_t i = 0; i < test_.elements; ++i) top.push_back(leaf(test_, step_, shard, i));
    counter_.push_back({shard, 1});
    while (counter_.size() >= 2) {
      const Subtree left = counter_[counter_.size() - 2];
      if (left.shards != counter_.back().shards || left.begin % (2 * left.shards) != 0) break;
      const std::vector<float> right = std::move(nodes_.back());
      nodes_.pop_back();
      for (std::size_t i = 0; i < right.size(); ++i) nodes_.back()[i] += right[i];
      counter_.pop_back();
      counter_.back().shards *= 2;
    }
    for (int k = 0; k < kScalars; ++k)
      exchange_.scalars(worker_, shard)[k] = scalar(test_, step_, shard, k);
    if (shard + 1 == range_.end) counter_.clear();
  }

  void check_scalars() {
    for (std::int64_t shard = 0; shard < test_.shards; ++shard)
      for (int k = 0; k < kScalars; ++k)
        if (exchange_.scalars(worker_, shard)[k] != scalar(test_, step_, shard, k))
          throw Error("{}: scalar {} of shard {} in step {} is {}", name_, k, shard, step_,
                      exchange_.scalars(worker_, shard)[k]);
  }

  // The tree over the collected nodes, element by element, with a counter of its own.
  void sum(int bucket) {
    const std::span<const TreeNode> nodes = exchange_.collect(worker_, bucket);
    const ElementRange slice = exchange_.slice(worker_, bucket);
    std::vector<float> target(static_cast<std::size_t>(slice.count()));
    std::vector<std::vector<float>> summands;
    for (const TreeNode& node : nodes) {
      if (node.sum.elements() != slice.count())
        throw Error("{}: a node of {} elements", name_, node.sum.elements());
      summands.push_back(memory_.read(node.sum.data<float>(), slice.count()));
    }
    for (std::size_t i = 0; i < target.size(); ++i) {
      struct Part {
        std::int64_t begin, shards;
        float sum;
      };
      std::vector<Part> parts;
      std::int64_t begin = 0;
      for (std::size_t n = 0; n < nodes.size(); ++n) {
        parts.push_back({begin, nodes[n].shards, summands[n][i]});
        begin += nodes[n].shards;
        while (parts.size() >= 2) {
          const Part right = parts.back();
          Part& left = parts[parts.size() - 2];
          if (left.shards != right.shards || left.begin % (2 * left.shards) != 0) break;
          left.sum += right.sum;
          left.shards *= 2;
          parts.pop_back();
        }
      }
      if (parts.size() != 1 || begin != test_.shards)
        throw Error("{}: {} of {} shards", name_, begin, test_.shards);
      target[i] = parts[0].sum;
    }
    if (slice.count() > 0) memory_.write(target, exchange_.sum_target(worker_, bucket));
    for (std::int64_t i = slice.begin; i < slice.end; i += kBlockElements) {
      const std::int64_t end = std::min(slice.end, i + kBlockElements);
      exchange_.block_norms()[i / kBlockElements] =
          block_norm(target.data(), i - slice.begin, end - slice.begin);
    }
  }

  const StepsCase& test_;
  const Reference& reference_;
  const ExchangePlan plan_;
  const ShardRange range_;
  const int worker_;
  const std::string name_;
  Exchange& exchange_;
  StepsMemory& memory_;
  std::int64_t step_ = 0;
  std::vector<Subtree> counter_;
  std::vector<std::vector<float>> nodes_;  // what is in it
};

// Runs the case on one rank: worker 0 on the calling thread. Returns the message of the first
// failure, or nothing; a rank that ends because of another returns nothing. On a device the rank
// has one worker.
inline std::string run_rank(const StepsCase& test, const Reference& reference, int rank,
                            const std::function<bool()>& announce_failure, Exchange& exchange,
                            StepsMemory memory = {}) {
  std::mutex mutex;
  std::string message;
  const auto guarded = [&](auto&& work) {
    try {
      work();
    } catch (const PeerFailed&) {
    } catch (const std::exception& error) {
      const std::lock_guard lock(mutex);
      if (announce_failure() && message.empty()) message = error.what();
    }
  };
  const auto work = [&](int worker) {
    WorkerSteps steps(test, reference, rank, worker, exchange, memory);
    for (int s = 0; s < test.steps; ++s) steps.step(s);
    steps.finish();
  };
  guarded([&] {
    if (memory.stream() != nullptr) exchange.attach(0, *memory.stream());
    if (exchange.fill_here())
      for (std::int64_t i = 0; i < test.elements; ++i)
        exchange.host_values()[i] = exchange.host_state(0)[i] = exchange.host_state(1)[i] =
            initial(i);
    exchange.filled();
  });
  std::vector<std::thread> threads;
  for (int w = 1; w < test.workers[static_cast<std::size_t>(rank)]; ++w)
    threads.emplace_back([&, w] { guarded([&] { work(w); }); });
  guarded([&] { work(0); });
  for (std::thread& thread : threads) thread.join();
  guarded([&] {
    exchange.gather_states();
    expect_equal(exchange.host_values(), reference.values.back(), "gathered weights");
    for (int k = 0; rank == 0 && k < kStates; ++k)
      expect_equal(exchange.host_state(k), reference.state, "gathered state");
    for (int k = 0; k < kStates; ++k) exchange.share_state(k);
    for (int k = 0; k < kStates; ++k)
      expect_equal(memory.read(exchange.state(k), test.elements).data(), reference.state,
                   "shared state");
  });
  return message;
}

}  // namespace lockstep::testing
