// A detector of races and of shared memory that is read before it is written. Kernel files are
// compiled with -fsanitize=thread, which makes the compiler call __tsan_read4(address) and so on at
// every access; the program is not linked with that sanitizer's library: the calls land here, where
// CUDA's rules are applied. Two accesses to one byte by two threads, one of them a write, need
//   in one block: a __syncthreads between them; in one warp a __syncwarp suffices. Shuffles and
//   ballots order no memory. Of two blocks: nothing orders them, but each has its shared memory.
// This file itself is compiled without that flag.
#include <dlfcn.h>

#include <memory>
#include <unordered_map>

#include "kernels/core/error.h"
#include "tests/emulation/block.h"

namespace lockstep::emulation {

namespace {

struct Access {
  std::uint32_t launch = 0, block = 0;  // launch 0: there was none
  std::uint16_t thread = 0, epoch = 0, warp_epoch = 0;
};

struct Byte {
  Access write, reads[2];
};

struct Page {
  Byte bytes[4096];
};

std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages;

Byte& byte_at(std::uintptr_t address) {
  static std::uintptr_t last_number = ~std::uintptr_t{0};
  static Page* last = nullptr;
  if (address >> 12 != last_number) {
    auto& page = pages[address >> 12];
    if (page == nullptr) page = std::make_unique<Page>();
    last_number = address >> 12;
    last = page.get();
  }
  return last->bytes[address & 4095];
}

// Whether nothing orders an earlier access before one that happens now.
bool unordered(const Access& earlier, const Access& now, bool shared) {
  if (earlier.launch != now.launch) return false;
  if (earlier.block != now.block) return !shared;
  if (earlier.thread == now.thread || earlier.epoch != now.epoch) return false;
  return earlier.thread / 32 != now.thread / 32 || earlier.warp_epoch >= now.warp_epoch;
}

[[noreturn]] void report(const char* what, bool shared, const Access& earlier, void* code) {
  Dl_info where{};
  dladdr(code, &where);
  const auto offset =
      static_cast<char*>(code) - static_cast<char*>(where.dli_fbase) - 1;  // of the call
  fail(fmt::format("{} in {} memory, against thread {} of block {}; addr2line -Cfie {} {:#x}", what,
                   shared ? "shared" : "global", earlier.thread, earlier.block,
                   where.dli_fname != nullptr ? where.dli_fname : "?", offset));
}

}  // namespace

static void on_access(const void* address, std::size_t bytes, bool write, void* code) {
  const Block& b = block();
  if (b.running == nullptr || b.running->state != Thread::State::kReady) return;
  const auto* const first = static_cast<const char*>(address);
  if (first >= b.stacks && first < b.stacks_end) return;  // a thread's own variables
  const bool shared = first >= b.shared && first < b.shared_end;
  const Access now{b.launch, b.number, static_cast<std::uint16_t>(b.running->index),
                   static_cast<std::uint16_t>(b.epoch),
                   static_cast<std::uint16_t>(b.running->warp_epoch)};
  for (std::size_t i = 0; i < bytes; ++i) {
    Byte& byte = byte_at(reinterpret_cast<std::uintptr_t>(first + i));
    if (unordered(byte.write, now, shared))
      report(write ? "race: a write after a write" : "race: a read after a write", shared,
             byte.write, code);
    if (write) {
      for (const Access& read : byte.reads)
        if (unordered(read, now, shared)) report("race: a write after a read", shared, read, code);
      byte.write = now;
      continue;
    }
    if (shared && (byte.write.launch != now.launch || byte.write.block != now.block))
      report("a read of bytes that nobody wrote", shared, now, code);
    // The latest reader, and one of another thread that may still run at the same time.
    const bool other = byte.reads[0].thread != now.thread || byte.reads[0].block != now.block;
    if (other && unordered(byte.reads[0], now, shared)) byte.reads[1] = byte.reads[0];
    byte.reads[0] = now;
  }
}

}  // namespace lockstep::emulation

// What the compiler calls. Atomics of the host's code around the kernels are plain here: one thread
// runs.
#define LOCKSTEP_ACCESS(name, bytes, write)                                             \
  extern "C" void __tsan_##name(void* address) {                                        \
    lockstep::emulation::on_access(address, bytes, write, __builtin_return_address(0)); \
  }
#define LOCKSTEP_ACCESSES(bytes)                       \
  LOCKSTEP_ACCESS(read##bytes, bytes, false)           \
  LOCKSTEP_ACCESS(write##bytes, bytes, true)           \
  LOCKSTEP_ACCESS(unaligned_read##bytes, bytes, false) \
  LOCKSTEP_ACCESS(unaligned_write##bytes, bytes, true) \
  LOCKSTEP_ACCESS(volatile_read##bytes, bytes, false)  \
  LOCKSTEP_ACCESS(volatile_write##bytes, bytes, true)
LOCKSTEP_ACCESSES(1)
LOCKSTEP_ACCESSES(2)
LOCKSTEP_ACCESSES(4)
LOCKSTEP_ACCESSES(8)
LOCKSTEP_ACCESSES(16)

extern "C" {
void __tsan_read_range(void* address, std::size_t bytes) {
  lockstep::emulation::on_access(address, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, std::size_t bytes) {
  lockstep::emulation::on_access(address, bytes, true, __builtin_return_address(0));
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}

#define LOCKSTEP_ATOMICS(bits, type)                                               \
  extern "C" type __tsan_atomic##bits##_load(const volatile type* p, int) {        \
    return *p;                                                                     \
  }                                                                                \
  extern "C" void __tsan_atomic##bits##_store(volatile type* p, type v, int) {     \
    *p = v;                                                                        \
  }                                                                                \
  extern "C" type __tsan_atomic##bits##_exchange(volatile type* p, type v, int) {  \
    const type before = *p;                                                        \
    *p = v;                                                                        \
    return before;                                                                 \
  }                                                                                \
  extern "C" type __tsan_atomic##bits##_fetch_add(volatile type* p, type v, int) { \
    const type before = *p;                                                        \
    *p = static_cast<type>(before + v);                                            \
    return before;                                                                 \
  }                                                                                \
  extern "C" type __tsan_atomic##bits##_fetch_sub(volatile type* p, type v, int) { \
    const type before = *p;                                                        \
    *p = static_cast<type>(before - v);                                            \
    return before;                                                                 \
  }
LOCKSTEP_ATOMICS(8, std::int8_t)
LOCKSTEP_ATOMICS(16, std::int16_t)
LOCKSTEP_ATOMICS(32, std::int32_t)
LOCKSTEP_ATOMICS(64, std::int64_t)
