#include "kernels/cuda/channel_bias.h"

#include "kernels/cuda/map.h"

namespace lockstep::gpu {

namespace {

constexpr unsigned kThreads = 256;

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    channel_bias_kernel(std::int64_t elements, std::int64_t channels, const float* bias,
                        BFloat16* y) {
  constexpr int N = kPack<BFloat16>;
  const std::int64_t at = thread_number() * N;
  if (at >= elements) return;
  const std::int64_t count = elements - at < N ? elements - at : N;
  float values[N];
  load_some<N>(y + at, count, kAligned && count == N, values);
  std::int64_t channel = at % channels;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    values[i] += bias[channel];
    channel = channel + 1 == channels ? 0 : channel + 1;
  }
  store_some<N>(y + at, count, kAligned && count == N, values);
}

struct Round {
  __device__ void operator()(float x, float& y) const { y = x; }
};

}  // namespace

void round_channel_bias(RawStream stream, std::int64_t channels, const float* bias, void* narrow) {
  map_elements(stream, "round_channel_bias", channels, Round{}, in(bias),
               out(static_cast<BFloat16*>(narrow)));
}

void add_channel_bias(RawStream stream, std::int64_t elements, std::int64_t channels,
                      const float* bias, void* y) {
  auto* const out = static_cast<BFloat16*>(y);
  const Launch what{.name = "add_channel_bias",
                    .grid = {blocks_for(elements, kThreads * kPack<BFloat16>)},
                    .block = {kThreads}};
  if (aligned<kPack<BFloat16>>(static_cast<const BFloat16*>(out)))
    launch(stream, what, channel_bias_kernel<true>, elements, channels, bias, out);
  else
    launch(stream, what, channel_bias_kernel<false>, elements, channels, bias, out);
}

}  // namespace lockstep::gpu
