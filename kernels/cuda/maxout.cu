// Maxout, and columns of one tensor as another.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"

namespace lockstep {

namespace gpu {
namespace {

template <typename T>
struct MaxoutForward {
  static constexpr int kPack = gpu::kPack<T>;
  const T* x;
  T* y;
  std::uint8_t* piece;
  std::int64_t pieces, channels, channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const T* const from = x + row * pieces * channels + channel;
    float best[kPack];
    std::uint8_t winner[kPack] = {};
    load_some<kPack>(from, count, whole, best);
    for (std::int64_t k = 1; k < pieces; ++k) {
      float values[kPack];
      load_some<kPack>(from + k * channels, count, whole, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        // Greater, or the first NaN: nothing replaces a NaN.
        if (values[i] <= best[i] || best[i] != best[i]) continue;
        best[i] = values[i];
        winner[i] = static_cast<std::uint8_t>(k);
      }
    }
    store_some<kPack>(y + offset, count, whole, best);
    store_some<kPack>(piece + offset, count, whole, winner);
  }
};

template <typename T>
struct MaxoutBackward {
  static constexpr int kPack = gpu::kPack<T>;
  const T* dy;
  const std::uint8_t* piece;
  T* dx;
  std::int64_t pieces, channels, channel = 0;

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    T* const to = dx + row * pieces * channels + channel;
    float slopes[kPack];
    std::uint8_t winner[kPack];
    load_some<kPack>(dy + offset, count, whole, slopes);
    load_some<kPack>(piece + offset, count, whole, winner);
    for (std::int64_t k = 0; k < pieces; ++k) {
      float values[kPack];
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[i] = winner[i] == k ? slopes[i] : 0.0f;
      store_some<kPack>(to + k * channels, count, whole, values);
    }
  }
};

// Threads walk over the narrow tensor's elements.
template <typename T>
struct CopyColumns {
  static constexpr int kPack = gpu::kPack<T>;
  const T* from;
  T* to;
  std::int64_t from_channels, to_channels, channel = 0;  // of a row in memory

  __device__ void begin(std::int64_t, std::int64_t first, std::int64_t, bool) { channel = first; }
  __device__ void at(std::int64_t row, std::int64_t, std::int64_t count, bool whole) const {
    copy_some<kPack>(from + row * from_channels + channel, to + row * to_channels + channel, count,
                     whole);
  }
};

struct Columns {
  std::int64_t rows, narrow, wide;  // wide, narrow: elements a row
};

Columns check_columns(std::int64_t first, const Tensor& narrow, const Tensor& wide) {
  check_type(wide, narrow.dtype(), "the wide tensor");
  const std::int64_t c = narrow.shape().back(), all = wide.shape().back();
  LOCKSTEP_CHECK(c > 0 && first >= 0 && first + c <= all, "columns [{}, {}) of {}", first,
                 first + c, wide.shape().to_string());
  const std::int64_t rows = narrow.elements() / c;
  LOCKSTEP_CHECK(wide.elements() == rows * all, "the wide tensor is {}, the narrow one {}",
                 wide.shape().to_string(), narrow.shape().to_string());
  return {rows, c, all};
}

template <typename T>
void copy_columns(Stream& stream, const char* name, const Columns& columns,
                  const CopyColumns<T>& map) {
  constexpr int N = kPack<T>;
  map_columns(raw(stream), name, map, 1, columns.rows, columns.narrow,
              aligned<N>(map.from) && aligned<N>(map.to) && columns.wide % N == 0);
}

// The number of channels that are left of x's.
std::int64_t check_maxout(std::int64_t pieces, const Tensor& x, const Tensor& y,
                          const Tensor& piece) {
  LOCKSTEP_CHECK(pieces >= 1 && pieces <= 255, "maxout of {} pieces; 1 to 255 are possible",
                 pieces);
  check_type(y, x.dtype(), "y");
  const std::int64_t channels = y.shape().back();
  LOCKSTEP_CHECK(channels > 0 && x.shape().back() == pieces * channels &&
                     x.elements() == pieces * y.elements(),
                 "maxout of {} pieces from {} to {}", pieces, x.shape().to_string(),
                 y.shape().to_string());
  check_shape(piece, y.shape(), "piece", DType::kUInt8);
  return channels;
}

template <typename T>
bool packs_fit(const Tensor& x, const Tensor& y, const Tensor& piece) {
  return all_aligned<kPack<T>, T>({&x, &y}) && all_aligned<kPack<T>, std::uint8_t>({&piece});
}

}  // namespace
}  // namespace gpu

void CudaBackend::maxout_forward(Stream& stream, std::int64_t pieces, const Tensor& x, Tensor& y,
                                 Tensor& piece) {
  const std::int64_t channels = gpu::check_maxout(pieces, x, y, piece);
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    const gpu::MaxoutForward<T> map{x.data<T>(), y.data<T>(), piece.data<std::uint8_t>(), pieces,
                                    channels};
    gpu::map_columns(gpu::raw(stream), "maxout_forward", map, 1, y.elements() / channels, channels,
                     gpu::packs_fit<T>(x, y, piece));
  });
}

void CudaBackend::maxout_backward(Stream& stream, std::int64_t pieces, const Tensor& dy,
                                  const Tensor& piece, Tensor& dx) {
  const std::int64_t channels = gpu::check_maxout(pieces, dx, dy, piece);
  gpu::for_element_type(dy, "dy", [&]<typename T>(T) {
    const gpu::MaxoutBackward<T> map{dy.data<T>(), piece.data<std::uint8_t>(), dx.data<T>(), pieces,
                                     channels};
    gpu::map_columns(gpu::raw(stream), "maxout_backward", map, 1, dy.elements() / channels,
                     channels, gpu::packs_fit<T>(dx, dy, piece));
  });
}

void CudaBackend::write_columns(Stream& stream, std::int64_t first, const Tensor& narrow,
                                Tensor& wide) {
  const gpu::Columns columns = gpu::check_columns(first, narrow, wide);
  gpu::for_element_type(narrow, "the narrow tensor", [&]<typename T>(T) {
    gpu::copy_columns<T>(stream, "write_columns", columns,
                         {narrow.data<T>(), wide.data<T>() + first, columns.narrow, columns.wide});
  });
}

void CudaBackend::read_columns(Stream& stream, std::int64_t first, const Tensor& wide,
                               Tensor& narrow) {
  const gpu::Columns columns = gpu::check_columns(first, narrow, wide);
  gpu::for_element_type(narrow, "the narrow tensor", [&]<typename T>(T) {
    gpu::copy_columns<T>(stream, "read_columns", columns,
                         {wide.data<T>() + first, narrow.data<T>(), columns.wide, columns.narrow});
  });
}

}  // namespace lockstep
