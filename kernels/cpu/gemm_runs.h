// How a sum over k becomes runs: segments of terms are appended in order, and cut where a run ends.
// The cuts depend on the number of terms alone, never on where the segments begin.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/core/device.h"
#include "kernels/cpu/gemm_kernels.h"

namespace lockstep {

// Carves an operation's workspace into arrays, each on a cache line of its own.
class Workspace {
 public:
  template <typename T>
  static std::size_t bytes_of(std::int64_t count) {
    return (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
  }
  Workspace(Stream& stream, std::size_t bytes) : next_(stream.workspace(bytes)) {}
  template <typename T>
  T* take(std::int64_t count) {
    T* const array = reinterpret_cast<T*>(next_);
    next_ += bytes_of<T>(count);
    return array;
  }

 private:
  std::byte* next_;
};

class RunBuilder {
 public:
  // Room for a sum of `terms` terms that arrive in up to `segments` segments.
  static std::int64_t pieces_needed(std::int64_t segments, std::int64_t terms) {
    return segments + runs_of(terms);
  }

  RunBuilder(GemmPiece* pieces, GemmRun* runs, std::int64_t terms)
      : runs_(runs), next_(pieces), terms_(terms), count_(runs_of(terms)) {
    runs_[0] = {pieces, 0};
    end_ = terms_ / count_;
  }

  // The next `length` terms: the first stands at offset a of the left side and in row b of the
  // right one; neighbours are a_stride and one row apart.
  void append(std::int64_t a, std::int64_t b, std::int64_t length, std::int64_t a_stride) {
    while (length > 0) {
      if (done_ == end_) begin_run();
      const std::int64_t now = std::min(length, end_ - done_);
      GemmPiece* const last = next_ - 1;
      if (runs_[run_].count > 0 && last->b + last->length == b &&
          last->a + last->length * a_stride == a) {
        last->length += now;
      } else {
        *next_++ = {a, b, now};
        ++runs_[run_].count;
      }
      done_ += now;
      a += now * a_stride;
      b += now;
      length -= now;
    }
  }

  void use(GemmProduct& product) const {
    product.runs = runs_;
    product.run_count = count_;
  }
  std::int64_t count() const { return count_; }

 private:
  void begin_run() {
    ++run_;
    end_ = terms_ * (run_ + 1) / count_;
    runs_[run_] = {next_, 0};
  }

  GemmRun* runs_;
  GemmPiece* next_;
  std::int64_t terms_, count_, run_ = 0, done_ = 0, end_ = 0;
};

// Runs over one dense sum; a_stride lies between neighbouring terms of the left side.
class PlainRuns {
 public:
  static std::size_t bytes(std::int64_t terms) {
    return Workspace::bytes_of<GemmPiece>(RunBuilder::pieces_needed(1, terms)) +
           Workspace::bytes_of<GemmRun>(runs_of(terms));
  }
  PlainRuns(Workspace& workspace, std::int64_t terms, std::int64_t a_stride)
      : builder_(workspace.take<GemmPiece>(RunBuilder::pieces_needed(1, terms)),
                 workspace.take<GemmRun>(runs_of(terms)), terms) {
    builder_.append(0, 0, terms, a_stride);
  }
  void use(GemmProduct& product) const { builder_.use(product); }

 private:
  RunBuilder builder_;
};

}  // namespace lockstep
