// DeviceLink: what ranks say to each other from one device's memory to another's. Calls queue work
// on a stream and return; the host waits for nothing that other ranks do. All ranks make the same
// calls in the same order, from one thread at a time.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "kernels/core/device.h"

namespace lockstep {

struct DeviceMessage {
  int peer = 0;  // another rank
  void* memory = nullptr;
  std::size_t bytes = 0;  // as many on the other side, and not 0
};

class DeviceLink {
 public:
  virtual ~DeviceLink() = default;

  virtual std::string description() const = 0;  // "NCCL 2.28.9"

  // Throw Error when the library refuses, or has met an error of its own or a peer's.
  // Sends and receives all; messages between two ranks keep their order.
  virtual void exchange(Stream& stream, std::span<const DeviceMessage> sends,
                        std::span<const DeviceMessage> receives) = 0;
  // Part p of `parts` goes to rank p; part p of `received` comes from it, from itself too.
  virtual void all_to_all(Stream& stream, const void* parts, void* received,
                          std::size_t bytes_of_part) = 0;
  // `part` becomes part r of everyone's `whole`, r being this rank; it may lie there already.
  virtual void all_gather(Stream& stream, const void* part, void* whole,
                          std::size_t bytes_of_part) = 0;
  // Sums in place over all ranks, in an order of the library's own; float32 or bfloat16.
  virtual void all_reduce(Stream& stream, void* values, std::int64_t count, DType type) = 0;

  // For a thread that watches; neither waits for one that is inside a call. What the library has
  // met since it was last asked, or "".
  virtual std::string error() = 0;
  // Ends all that is under way, if that can be done in so many seconds. Nothing may follow.
  virtual void abort(double seconds) = 0;
};

}  // namespace lockstep
