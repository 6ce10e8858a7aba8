#include "kernels/cuda/column_total.h"

#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"

namespace lockstep::gpu {

namespace {

template <typename T>
struct Total {
  static constexpr int kPack = gpu::kPack<T>, kSums = 1;
  const T* x;
  float total[kPack] = {};

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void add(std::int64_t, std::int64_t offset, std::int64_t count, bool whole) {
    float values[kPack];
    load_some<kPack>(x + offset, count, whole, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) total[i] += values[i];
  }
  __device__ void result(float (&sums)[kSums][kPack], float) const {
#pragma unroll
    for (int i = 0; i < kPack; ++i) sums[0][i] = total[i];
  }
  __device__ static void merge(float (&a)[kSums], float, const float (&b)[kSums], float) {
    add_sums(a, b);
  }
};

struct StoreTotal {
  float* totals;
  __device__ void operator()(std::int64_t, std::int64_t channel, const float (&sums)[1]) const {
    totals[channel] = sums[0];
  }
};

}  // namespace

void column_total(Stream& stream, const char* name, const Tensor& x, std::int64_t columns,
                  Tensor& totals) {
  check_count(totals, columns, "totals");
  if (columns == 0) return;
  if (x.elements() == 0) {
    set_bytes(totals.raw(), 0, totals.bytes(), raw(stream));
    return;
  }
  for_element_type(x, "x", [&]<typename T>(T) {
    sum_columns(raw(stream), name, Total<T>{x.data<T>()}, StoreTotal{totals.data<float>()}, 1,
                x.elements() / columns, columns, all_aligned<kPack<T>, T>({&x}), floats_of(stream));
  });
}

}  // namespace lockstep::gpu
