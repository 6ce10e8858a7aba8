#include "tests/emulation/shared_memory.h"

#include <cstring>

#include "kernels/core/error.h"
#include "tests/emulation/block.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace lockstep::emulation {

namespace {

constexpr std::size_t kGap = 64;
constexpr int kPoison = 0xFF;

struct Variable {
  const void* declaration;  // null: the dynamic shared memory
  std::size_t offset, bytes;
};
std::vector<Variable> variables;
std::size_t used = 0, sum_of_bytes = 0;

const Variable& add_variable(const void* declaration, std::size_t bytes, std::size_t alignment) {
  sum_of_bytes += bytes;
  if (sum_of_bytes > options().most_shared_bytes)
    fail(fmt::format("{} bytes of shared memory; a block has {}", sum_of_bytes,
                     options().most_shared_bytes));
  const std::size_t offset = (used + kGap + alignment - 1) / alignment * alignment;
  used = offset + bytes;
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(block().shared + offset, bytes);
#endif
  std::memset(block().shared + offset, kPoison, bytes);
  return variables.emplace_back(Variable{declaration, offset, bytes});
}

}  // namespace

void begin_shared(std::size_t dynamic_bytes) {
  variables.clear();
  used = sum_of_bytes = 0;
  Block& b = block();
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(b.shared, static_cast<std::size_t>(b.shared_end - b.shared));
#else
  std::memset(b.shared, kPoison, static_cast<std::size_t>(b.shared_end - b.shared));
#endif
  if (dynamic_bytes > options().most_shared_bytes)
    throw Error("{} bytes of shared memory; a block has {}", dynamic_bytes,
                options().most_shared_bytes);
  add_variable(nullptr, dynamic_bytes, 128);
}

void poison_shared() {
  for (const Variable& v : variables) std::memset(block().shared + v.offset, kPoison, v.bytes);
}

void check_shared_gaps() {
#if !defined(__SANITIZE_ADDRESS__)  // which reports such a write at once
  std::size_t place = 0;
  const auto check_until = [&](std::size_t end) {
    for (; place < end; ++place)
      if (block().shared[place] != static_cast<char>(kPoison))
        throw Error("a write beside every variable in shared memory, block {}", block().number);
  };
  for (const Variable& v : variables) {
    check_until(v.offset);
    place = v.offset + v.bytes;
  }
  check_until(used + kGap);
#endif
}

void* dynamic_shared() {
  return block().shared + variables.front().offset;
}

void* static_shared(const void* declaration, std::size_t bytes, std::size_t alignment) {
  for (const Variable& v : variables)
    if (v.declaration == declaration) return block().shared + v.offset;
  return block().shared + add_variable(declaration, bytes, alignment).offset;
}

}  // namespace lockstep::emulation
