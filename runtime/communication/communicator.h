// Communicator: what ranks say to each other. Small host collectives, memory that the ranks of a
// node share, and the Exchange of a training step. Forms: Self (one rank), Thread (ranks as threads
// of one process, for tests), MPI (one shared segment inside a node; messages between the first
// ranks of nodes, or between all where no segment can be had). NCCL joins as one more form.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "runtime/communication/shard_plan.h"

namespace lockstep {

class Waiter;

// What a wait ends with when another rank, or another worker of this one, has failed. That one's
// message is the one to read: whoever catches this prints nothing.
class PeerFailed : public Error {
 public:
  PeerFailed() : Error(std::string("another rank or worker failed")) {}
};

// Memory of which all ranks of a node see one copy, or private memory where none can be shared.
struct NodeMemory {
  std::span<std::byte> bytes;  // zero at first
  bool fill_here = true;       // this rank fills it (the node's leader; every rank if not shared)
  std::shared_ptr<void> owner;
};

struct ElementRange {  // of the flat parameter buffer; multiples of kBlockElements but for the end
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
};
inline ElementRange intersect(ElementRange a, ElementRange b) {  // empty where they are disjoint
  const std::int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

// How the gradients of shards become one.
enum class PlanReduction {
  kTree,          // the fixed tree over the shards: the same bits anywhere
  kFast,          // one sum by the library a bucket
  kFastBFloat16,  // gradients travel as bfloat16, sums are float32
};

struct ExchangePlan {
  std::int64_t elements = 0;          // of the flat parameter buffer that steps change
  std::vector<ElementRange> buckets;  // cover it, counted from the end; the exchange's order
  int scalars = 0;                    // doubles a shard contributes each step (loss, weight, ...)
  int states = 0;                     // flat arrays the optimizer keeps (0, 1 or 2)
  double patience_seconds = 300;      // a wait longer than this names the ranks that are late
  PlanReduction reduction = PlanReduction::kTree;
  std::int64_t frozen = 0;  // values behind those elements, which have no gradient and no step
  // The job's only worker may have its gradient buffers elsewhere, as in a GPU's own memory.
  bool host_nodes = true;
};

// One training step's exchange. Workers are those of this rank, 0 .. workers - 1; worker 0 runs on
// the thread that made the communicator (the only one that may call MPI). Every worker owns one
// slice (whole blocks, possibly empty) of every bucket. A step, for worker w:
//
//   begin(w, step)              earlier weights have arrived; gradient buffers may be overwritten
//   scalars(w, shard)[i] = ...  for each own shard; then publish_scalars(w) once
//   publish(w, bucket)          once a bucket, in any order: w's subtrees of it are final and w
//                               reads the bucket's weights no more
//   for each bucket, in order:  nodes = collect(w, bucket) (waits), sum, update, then
//                               deliver(w, bucket)
//
// With clipping, collect all buckets first, write block_norms, publish_norms, then update, deliver.
// Every worker takes every step, and worker 0 of every rank makes its calls in the same order (with
// messages, its waits are where the rank sends and receives). A plan without elements serves steps
// that only join scalars, as an evaluation does.
//
// All waits spin briefly, then sleep; they end with PeerFailed when somebody failed, and with an
// Error that names rank and step when somebody is late. The bits do not depend on who owns what.
//
// values, state, node and sum_target are memory of the device; where the host does not reach that,
// operations alone read and write it, in the stream that the worker has attached.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // Once, before the worker's first step: the stream in which its operations run.
  virtual void attach(int /*worker*/, Stream& /*stream*/) {}

  virtual float* values() = 0;  // the flat weights, and what is frozen: one copy a node (or a rank)
  virtual float* state(int index) = 0;  // the optimizer's arrays; only own slices are current
  // Gradient buffers of a worker of this rank, counter_depth(its shards) of them, each as long as
  // values. When the worker has counted through its shards, slot i holds
  // canonical_subtrees(...)[i].
  virtual float* node(int worker, int slot) = 0;
  virtual ElementRange slice(int worker, int bucket) const = 0;

  virtual void begin(int worker, std::int64_t step) = 0;
  // This step's rows of plan.scalars doubles, one a shard, one after another from `shard` on: own
  // shards' are to be written, then published; after wait_scalars all may be read until the
  // worker's next begin. (Which step it is, is the worker's own affair: a fast one is ahead.)
  virtual double* scalars(int worker, std::int64_t shard) = 0;
  virtual void publish_scalars(int worker) = 0;
  virtual void wait_scalars(int worker) = 0;
  virtual void publish(int worker, int bucket) = 0;
  // The canonical subtrees of all workers (or of all ranks), left to right, restricted to
  // slice(worker, bucket). Valid as long as the exchange; their contents until own deliver.
  virtual std::span<const TreeNode> collect(int worker, int bucket) = 0;
  // The slice of the first node: the place for the sum.
  virtual float* sum_target(int worker, int bucket) = 0;
  virtual double* block_norms() = 0;  // one a block of the whole buffer, in the host's memory
  // Blocks until the norms that the worker's operations write can be read.
  virtual void settle(int /*worker*/) {}
  virtual void publish_norms(int worker) = 0;
  virtual void wait_norms(int worker) = 0;           // all blocks' norms are there
  virtual void deliver(int worker, int bucket) = 0;  // new weights of the slice are written
  virtual void finish(int worker) = 0;               // all weights of this step are there

  // The host's view of values and states, for filling them and after gather_states.
  virtual float* host_values() { return values(); }
  virtual float* host_state(int index) { return state(index); }
  // Outside steps, by worker 0 of every rank after finish (a collective): rank 0's host then holds
  // all of every state array until its next publish, and every rank's all values.
  virtual void gather_states() = 0;
  // The same for one array on every rank's device, which must have read it when the next step
  // begins.
  virtual void share_state(int index) = 0;
  // Before the first step, or after a barrier of the communicator that follows finish: where
  // fill_here() is true, fill the host's values and states; then filled(), a collective, makes them
  // everyone's.
  virtual bool fill_here() const = 0;
  virtual void filled() = 0;
};

// An exchange through the host's memory.
class HostExchange : public Exchange {
 public:
  // All of it that this rank reads or writes.
  virtual std::span<std::byte> memory() = 0;
  // What collect will give: known beforehand.
  virtual std::span<const TreeNode> nodes(int worker, int bucket) = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // The launcher's number of a rank, for messages: ranks are counted a node after another here.
  virtual int job_rank(int rank) const { return rank; }
  virtual int local_rank() const = 0;  // on this node
  virtual int local_size() const = 0;
  virtual int nodes() const = 0;
  virtual std::string description() const = 0;  // "2 ranks on 1 node, one shared segment"

  virtual void barrier() = 0;
  virtual void broadcast(std::span<std::byte> data, int root) = 0;
  virtual std::vector<std::string> all_gather(const std::string& mine) = 0;  // any lengths, by rank
  std::string broadcast(std::string text, int root);                         // of any length

  // The library's own sum over ranks, where it has one: what the exchange is measured against.
  virtual void all_reduce(std::span<float> values) = 0;
  virtual NodeMemory node_memory(std::size_t bytes) = 0;  // collective
  virtual std::unique_ptr<HostExchange> make_exchange(const ExchangePlan& plan,
                                                      const ShardPlan& shards, Device& device) = 0;

  // How this rank's workers, whose shards are known, wait in memory that others see, too. It lives
  // no longer than the communicator.
  virtual Waiter make_waiter(const ShardPlan& shards, double patience_seconds) const = 0;

  // Tells the other ranks and this one's other workers that something failed here, so that their
  // waits end; from any thread. True if this is the first failure: it alone prints its message.
  // Between nodes, each node's own first is true.
  virtual bool announce_failure() = 0;
  // Whether somebody has, on this node.
  virtual bool failure_announced() const = 0;
  // This rank waits for another where the communicator cannot see it: to be called again and again
  // meanwhile, from any thread, so that whoever runs out of patience names another rank.
  virtual void show_waiting() {}

  // How long a collective of this class waits before an Error names the ranks that are late.
  void set_patience(double seconds) { patience_seconds_ = seconds; }
  double patience_seconds() const { return patience_seconds_; }

 protected:
  double patience_seconds_ = 1800;  // rank 0 may be reading a large dataset meanwhile
};

std::unique_ptr<Communicator> make_self_communicator();
// `ranks` communicators that talk through the process's memory; one a thread.
std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int ranks);

}  // namespace lockstep
