#include "kernels/cuda/column_total.h"

#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"

namespace lockstep::gpu {

namespace {

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
    sum_columns(raw(stream), name, RowTotal<T>{x.data<T>()}, StoreTotal{totals.data<float>()}, 1,
                x.elements() / columns, columns, all_aligned<kPack<T>, T>({&x}), floats_of(stream));
  });
}

}  // namespace lockstep::gpu
