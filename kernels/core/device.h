// Device: allocates memory and makes streams. Stream: an ordered queue of work with a workspace of
// its own. Event: a point in a stream's work. On a GPU these are CUDA's; on a CPU a stream is a
// worker thread, and its events are counters.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kernels/core/tensor.h"

namespace lockstep {

class Profile;

class Event {
 public:
  virtual ~Event();  // these three in the core library: one type for every plug-in
  virtual bool reached() const = 0;
  virtual void synchronize() = 0;  // blocks the caller; rethrows what the stream's work threw
};

class Stream {
 public:
  virtual ~Stream();

  virtual Device& device() = 0;
  // Queues `work`, in which operations are called with this stream. On a CPU the stream's thread
  // runs it; on a GPU the caller does, and the operations queue kernels.
  virtual void submit(std::function<void()> work) = 0;
  virtual std::shared_ptr<Event> record() = 0;          // the point after all work queued so far
  virtual void wait(std::shared_ptr<Event> event) = 0;  // later work starts after the event
  virtual void synchronize() = 0;                       // blocks; rethrows the first exception
  // Scratch memory for one operation, valid until the next call on this stream; 64-byte aligned.
  virtual std::byte* workspace(std::size_t bytes) = 0;
  // The queue behind it, for a library of the device's maker (a cudaStream_t); null on a CPU.
  virtual void* native() { return nullptr; }

  // Where profile scopes in this stream's work write; null (the default): nothing is measured.
  Profile* profile() const { return profile_; }
  void set_profile(Profile* profile) { profile_ = profile; }

 private:
  Profile* profile_ = nullptr;
};

class Device {
 public:
  virtual ~Device();

  virtual std::string description() const = 0;
  // Whether the host may read and write the memory of its tensors.
  virtual bool memory_is_host() const { return true; }
  virtual Tensor empty(const Shape& shape, DType type = DType::kFloat32) = 0;  // not initialised
  virtual Tensor zeros(const Shape& shape, DType type = DType::kFloat32) = 0;
  virtual Tensor empty_pinned(const Shape& shape, DType type) = 0;  // host memory the device reads
  // Makes host memory that somebody else owns as good, while the result lives; null where any is.
  virtual std::shared_ptr<void> pin(std::span<std::byte> memory);
  // A tensor over memory that somebody else owns and keeps alive.
  Tensor borrow(void* data, const Shape& shape, DType type = DType::kFloat32);
  virtual void copy(const Tensor& from, Tensor& to) = 0;  // same elements, same type; blocks
  virtual void copy_async(Stream& stream, const Tensor& from, Tensor& to) = 0;
  virtual Tensor to_host(const Tensor& tensor) = 0;  // blocks
  // A host tensor's elements where this device can read them, for work queued after it on `stream`.
  // Where device memory is host memory, as here, that is the tensor itself.
  virtual Tensor upload(Stream& stream, const Tensor& host);
  // How many streams may work at once with profit (CPU: threads; GPU: a few), and one of them.
  // Stream 0 of a CPU is the thread that calls synchronize() on it: no core idles in a wait.
  virtual std::unique_ptr<Stream> make_stream(int index) = 0;
  // A further one for what other ranks wait for: its work goes before that of the others.
  virtual std::unique_ptr<Stream> make_urgent_stream() { return make_stream(1); }
};

}  // namespace lockstep
