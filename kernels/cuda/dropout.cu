// Dropout of elements and of whole samples: masks are recomputed from Philox, never stored. A
// thread has four neighbours of one sample, which share a block of four random words.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/philox.h"

namespace lockstep {

namespace gpu {
namespace {

constexpr int kQuad = 4;
constexpr unsigned kThreads = 256;

// The factors of a thread's elements, by which those that are dropped are multiplied too, so that a
// NaN among them is not lost.
struct ElementFactors {
  PhiloxKey key;
  float probability, kept;
  __device__ void operator()(std::uint64_t sample, std::int64_t quad,
                             float (&factors)[kQuad]) const {
    const PhiloxWords words = key.block(sample, static_cast<std::uint32_t>(quad));
#pragma unroll
    for (int i = 0; i < kQuad; ++i)
      factors[i] = unit_float(words.word[i]) < probability ? 0.0f : kept;
  }
};

// quads: of a row, whose last may be short.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(ElementFactors factors_of, const std::int64_t* sample_ids, const T* x, T* y,
                   std::int64_t rows, std::int64_t width, std::int64_t quads, bool aligned) {
  const std::int64_t row = thread_number() / quads, quad = thread_number() % quads;
  if (row >= rows) return;
  float values[kQuad], factors[kQuad];
  const std::int64_t at = quad * kQuad, offset = row * width + at;
  const std::int64_t count = width - at < kQuad ? width - at : kQuad;
  const bool whole = aligned && count == kQuad;
  factors_of(static_cast<std::uint64_t>(sample_ids[row]), quad, factors);
  load_some<kQuad>(x + offset, count, whole, values);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) values[i] *= factors[i];
  store_some<kQuad>(y + offset, count, whole, values);
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    drop_samples_kernel(PhiloxKey key, float probability, float kept,
                        const std::int64_t* sample_ids, const T* x, T* y, std::int64_t rows,
                        std::int64_t width, std::int64_t quads, bool aligned) {
  const std::int64_t row = thread_number() / quads, at = thread_number() % quads * kQuad;
  if (row >= rows) return;
  const auto sample = static_cast<std::uint64_t>(sample_ids[row]);
  const bool dropped = unit_float(key.block(sample, 0).word[0]) < probability;
  float values[kQuad];
  const std::int64_t offset = row * width + at;
  const std::int64_t count = width - at < kQuad ? width - at : kQuad;
  const bool whole = aligned && count == kQuad;
  load_some<kQuad>(x + offset, count, whole, values);
#pragma unroll
  for (int i = 0; i < kQuad; ++i) values[i] = dropped ? 0.0f : values[i] * kept;
  store_some<kQuad>(y + offset, count, whole, values);
}

struct SampleRows {
  std::int64_t rows, width, quads;
};

SampleRows check_samples(const Tensor& sample_ids, const Tensor& x, const Tensor& y) {
  check_like(y, x, "y");
  const std::int64_t rows = x.rows();
  check_count(sample_ids, rows, "sample_ids", DType::kInt64);
  const std::int64_t width = rows == 0 ? 0 : x.elements() / rows;
  return {rows, width, (width + kQuad - 1) / kQuad};
}

Launch launch_of(const char* name, const SampleRows& samples) {
  return {.name = name,
          .grid = {blocks_for(samples.rows * samples.quads, kThreads)},
          .block = {kThreads}};
}

template <typename T>
bool packs_fit(const SampleRows& samples, const Tensor& x, const Tensor& y) {
  return samples.width % kQuad == 0 && all_aligned<kQuad, T>({&x, &y});
}

float kept_factor(float probability) {
  return probability == 1 ? 0.0f
                          : static_cast<float>(1.0 / (1.0 - static_cast<double>(probability)));
}

}  // namespace
}  // namespace gpu

void CudaBackend::dropout(Stream& stream, const DropoutOptions& options, const Tensor& sample_ids,
                          const Tensor& x, Tensor& y) {
  const float probability = options.probability;
  LOCKSTEP_CHECK(probability >= 0 && probability <= 1, "probability {} of dropout", probability);
  const gpu::SampleRows samples = gpu::check_samples(sample_ids, x, y);
  if (x.elements() == 0) return;
  const gpu::ElementFactors factors{gpu::PhiloxKey(options.key), probability,
                                    gpu::kept_factor(probability)};
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::launch(gpu::raw(stream), gpu::launch_of("dropout", samples), gpu::dropout_kernel<T>,
                factors, sample_ids.data<std::int64_t>(), x.data<T>(), y.data<T>(), samples.rows,
                samples.width, samples.quads, gpu::packs_fit<T>(samples, x, y));
  });
}

void CudaBackend::drop_samples(Stream& stream, const DropoutOptions& options,
                               const Tensor& sample_ids, const Tensor& x, Tensor& y) {
  const float probability = options.probability;
  LOCKSTEP_CHECK(probability >= 0 && probability < 1, "probability {} of dropping samples",
                 probability);
  const gpu::SampleRows samples = gpu::check_samples(sample_ids, x, y);
  if (x.elements() == 0) return;
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::launch(gpu::raw(stream), gpu::launch_of("drop_samples", samples),
                gpu::drop_samples_kernel<T>, gpu::PhiloxKey(options.key), probability,
                gpu::kept_factor(probability), sample_ids.data<std::int64_t>(), x.data<T>(),
                y.data<T>(), samples.rows, samples.width, samples.quads,
                gpu::packs_fit<T>(samples, x, y));
  });
}

}  // namespace lockstep
