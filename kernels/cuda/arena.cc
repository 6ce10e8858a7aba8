#include "kernels/cuda/arena.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/gpu.h"

namespace lockstep::gpu {

namespace {

constexpr std::size_t kAlignment = 256;
// No address of any process, so that whoever touches what a rehearsal was given ends with a signal.
constexpr std::uintptr_t kNowhere = std::uintptr_t{1} << 60;
constexpr std::size_t kEndless = std::size_t{1} << 56;

std::size_t whole(std::size_t bytes) {
  return std::max<std::size_t>(1, (bytes + kAlignment - 1) / kAlignment) * kAlignment;
}

std::vector<MemoryRow> rows_of(const auto& pieces) {
  std::map<std::string, MemoryRow> rows;
  for (const auto& [memory, piece] : pieces) {
    MemoryRow& row = rows[piece.use];
    row.use = piece.use;
    ++row.pieces;
    row.bytes += piece.bytes;
  }
  std::vector<MemoryRow> result;
  for (auto& [use, row] : rows) result.push_back(std::move(row));
  return result;
}

}  // namespace

std::shared_ptr<Arena> Arena::make(Kind kind) {
  return std::shared_ptr<Arena>(new Arena(kind));
}

Arena::Arena(Kind kind)
    : kind_(kind),
      advice_(
          "\nTry one of these:\n  a smaller training.batch\n  more run.shards, which run one after "
          "another\n  run.precision = \"bfloat16\", where it is not set") {
  if (kind_ == Kind::kReal) return;
  reserve_ = reinterpret_cast<std::byte*>(kNowhere);
  reserved_ = kEndless;
}

Arena::~Arena() {
  if (kind_ == Kind::kReal) free_memory(reserve_);
}

// The first gap that is long enough, so that the same calls find the same places.
std::byte* Arena::find_place(std::size_t bytes) {
  std::size_t begin = 0;
  for (const auto& [used, length] : places_) {
    if (used - begin >= bytes) break;
    begin = used + length;
  }
  if (begin + bytes > reserved_) return nullptr;
  places_.emplace(begin, bytes);
  reached_ = std::max(reached_, begin + bytes);
  return reserve_ + begin;
}

std::byte* Arena::allocate_own(std::size_t bytes) {
  try {
    return static_cast<std::byte*>(gpu::allocate(bytes));
  } catch (const NoMemory&) {
    throw Error(
        out_of_memory(fmt::format("{} more for \"{}\"", bytes_text(bytes), MemoryUse::current())));
  }
}

std::shared_ptr<std::byte> Arena::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  Piece piece{MemoryUse::current(), whole(bytes), true};
  std::byte* memory = find_place(piece.bytes);
  if (memory == nullptr) {
    memory = allocate_own(bytes);
    piece.bytes = bytes;
    piece.in_reserve = false;
  }
  pieces_.emplace(memory, std::move(piece));
  return {memory, [self = shared_from_this()](std::byte* gone) { self->free(gone); }};
}

void Arena::free(std::byte* memory) noexcept {
  // As the device's own freeing does: what was queued may still use it.
  if (kind_ == Kind::kReal) gpu::finish();
  bool in_reserve = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = pieces_.find(memory);
    in_reserve = found->second.in_reserve;
    if (in_reserve) places_.erase(static_cast<std::size_t>(memory - reserve_));
    pieces_.erase(found);
  }
  if (!in_reserve) free_memory(memory);
}

std::byte* Arena::allocate_own_pinned(std::size_t bytes) {
  if (kind_ == Kind::kRehearsed)
    return static_cast<std::byte*>(::operator new(std::max<std::size_t>(1, bytes)));
  try {
    return static_cast<std::byte*>(gpu::allocate_pinned(bytes));
  } catch (const Error& error) {
    throw Error("{}. This process has pinned:{}", error.what(), memory_table(rows_of(pinned_)));
  }
}

std::shared_ptr<std::byte> Arena::allocate_pinned(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  std::byte* const memory = allocate_own_pinned(bytes);
  pinned_.emplace(memory, Piece{MemoryUse::current(), bytes, false});
  return {memory, [self = shared_from_this()](std::byte* gone) { self->free_pinned(gone); }};
}

void Arena::free_pinned(std::byte* memory) noexcept {
  {
    const std::lock_guard lock(mutex_);
    pinned_.erase(memory);
  }
  if (kind_ == Kind::kReal)
    gpu::free_pinned(memory);
  else
    ::operator delete(memory);
}

void Arena::reserve(const MemoryPlan& plan) {
  const std::lock_guard lock(mutex_);
  LOCKSTEP_CHECK(kind_ == Kind::kReal && reserve_ == nullptr, "a second reserve of {} bytes",
                 plan.bytes);
  advice_ = plan.advice;
  try {
    reserve_ = static_cast<std::byte*>(gpu::allocate(plan.bytes));
  } catch (const NoMemory&) {
    const MemoryInfo info = memory_info();
    throw Error(
        "out of memory: the GPU does not hold this training, which takes {}: {} of {} are free. "
        "The plan:{}{}",
        bytes_text(plan.bytes), bytes_text(info.free), bytes_text(info.total),
        memory_table(plan.rows), advice_);
  }
  reserved_ = plan.bytes;
}

MemoryReport Arena::report() const {
  const std::lock_guard lock(mutex_);
  return locked_report();
}

MemoryReport Arena::locked_report() const {
  MemoryReport report;
  report.rows = rows_of(pieces_);
  std::size_t in_use = 0;
  for (const auto& [offset, length] : places_) in_use += length;
  const std::size_t reserved = kind_ == Kind::kReal ? reserved_ : reached_;
  if (reserved > in_use) report.rows.push_back({"not in use", 1, reserved - in_use});
  for (const MemoryRow& row : report.rows) report.bytes += row.bytes;
  for (const auto& [memory, piece] : pieces_)
    if (!piece.in_reserve) report.beyond_reserve += piece.bytes;
  const MemoryInfo info = memory_info();
  report.free = info.free;
  report.total = info.total;
  return report;
}

std::string Arena::out_of_memory(const std::string& asked) const {
  const MemoryReport report = locked_report();
  return fmt::format(
      "out of memory: the GPU does not hold {}: {} of {} are free. This process has:{}{}", asked,
      bytes_text(report.free), bytes_text(report.total), memory_table(report.rows), advice_);
}

}  // namespace lockstep::gpu
