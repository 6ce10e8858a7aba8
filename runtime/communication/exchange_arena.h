// ExchangeArena: the arrays of an exchange, in one block of zeroed memory that the workers of a
// node (or of a rank) see. Its layout follows from the plan alone, so that every process finds it
// again.
#pragma once

#include <span>
#include <vector>

#include "runtime/communication/communicator.h"
#include "runtime/communication/futex.h"

namespace lockstep {

// Part `part` of `parts` of a bucket, cut at whole blocks.
ElementRange cut_blocks(ElementRange bucket, int parts, int part);
// The blocks of the whole buffer that a slice covers.
ElementRange blocks_of(ElementRange slice);

struct ByteRange {
  std::size_t begin = 0, end = 0;
};

class ExchangeArena {
 public:
  // `workers`: the shards of each worker whose gradient buffers lie here. Throws Error when the
  // buckets do not cover the buffer. `received`: floats that come from elsewhere.
  ExchangeArena(const ExchangePlan& plan, std::int64_t shards, std::vector<ShardRange> workers,
                std::size_t counters, std::size_t received = 0);

  std::size_t bytes() const { return bytes_; }
  ByteRange nodes_of_workers(int first, int last) const;  // everything else lies before worker 0's
  void place(std::byte* memory) { memory_ = memory; }
  std::span<std::byte> memory() const { return {memory_, bytes_}; }

  StepCounter* counters() const { return at<StepCounter>(0); }
  // Two places by turns: a fast rank writes its next step while a slow one still reads.
  double* scalars(std::uint32_t turn, std::int64_t shard) const;
  double* block_norms() const { return at<double>(norms_); }
  float* values() const { return at<float>(values_); }
  float* state(int index) const;
  float* received() const { return at<float>(received_); }
  float* node(int worker, int slot) const;
  void touch_nodes(int worker) const;  // by that worker: pages lie near who touches them first

 private:
  template <typename T>
  T* at(std::size_t offset) const {
    return reinterpret_cast<T*>(memory_ + offset);
  }

  int scalar_count_, states_;
  std::int64_t shards_;
  std::size_t flat_bytes_, values_bytes_;            // of one float array, whole pages
  std::size_t node_bytes_;                           // of a gradient buffer
  std::size_t scalars_, norms_, values_, received_;  // offsets
  std::vector<std::size_t> worker_nodes_;  // offset of each worker's first node, then the end
  std::size_t bytes_;
  std::byte* memory_ = nullptr;
};

}  // namespace lockstep
