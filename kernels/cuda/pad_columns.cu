#include "kernels/cuda/pad_columns.h"

#include "kernels/cuda/checks.h"
#include "kernels/cuda/kernel.h"

namespace lockstep::gpu {

namespace {

constexpr unsigned kThreads = 256;

// A thread writes N neighbours of a wide row.
template <typename From>
__global__ void __launch_bounds__(kThreads)
    pad_kernel(const From* from, std::int64_t packs, std::int64_t columns, std::int64_t wide,
               BFloat16* to, bool aligned) {
  constexpr int N = kPack<BFloat16>;
  const std::int64_t pack = thread_number();
  if (pack >= packs) return;
  const std::int64_t row = pack / (wide / N), first = pack % (wide / N) * N;
  float values[N] = {};
#pragma unroll
  for (int i = 0; i < N; ++i)
    if (first + i < columns) values[i] = load(from + row * columns + first + i);
  store_some<N>(to + pack * N, N, aligned, values);
}

template <typename To>
__global__ void __launch_bounds__(kThreads)
    strip_kernel(const BFloat16* from, std::int64_t elements, std::int64_t columns,
                 std::int64_t wide, bool add, To* to) {
  const std::int64_t at = thread_number();
  if (at >= elements) return;
  float value = load(from + at / columns * wide + at % columns);
  if (add) value += load(to + at);
  store(to + at, value);
}

}  // namespace

void pad_columns(Stream& stream, const Tensor& from, std::int64_t columns, std::int64_t wide,
                 void* to) {
  LOCKSTEP_CHECK(wide % kPack<BFloat16> == 0 && wide >= columns, "{} columns padded to {}", columns,
                 wide);
  if (from.elements() == 0) return;
  const std::int64_t packs = from.elements() / columns * (wide / kPack<BFloat16>);
  auto* const out = static_cast<BFloat16*>(to);
  for_element_type(from, "from", [&]<typename From>(From) {
    launch(raw(stream),
           {.name = "pad_columns", .grid = {blocks_for(packs, kThreads)}, .block = {kThreads}},
           pad_kernel<From>, from.data<From>(), packs, columns, wide, out,
           aligned<kPack<BFloat16>>(static_cast<const BFloat16*>(out)));
  });
}

void strip_columns(Stream& stream, const void* from, std::int64_t columns, std::int64_t wide,
                   bool add, Tensor& to) {
  const std::int64_t elements = to.elements();
  if (elements == 0) return;
  for_element_type(to, "to", [&]<typename To>(To) {
    launch(raw(stream),
           {.name = "strip_columns", .grid = {blocks_for(elements, kThreads)}, .block = {kThreads}},
           strip_kernel<To>, static_cast<const BFloat16*>(from), elements, columns, wide, add,
           to.data<To>());
  });
}

}  // namespace lockstep::gpu
