// Cells of recurrent layers: one step of all sequences. A thread has a pack of neighbouring units
// in all gates. An LSTM's cell state and its gradient, which are sums over the steps, may stay
// float32 where gates and hidden states are bfloat16.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/columns.h"

namespace lockstep {

namespace gpu {
namespace {

__device__ __forceinline__ float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}
// dx = dy y (1 - y), and dx = dy (1 - y²)
__device__ __forceinline__ float sigmoid_backward(float y, float dy) {
  return dy * (y * (1.0f - y));
}
__device__ __forceinline__ float tanh_backward(float y, float dy) {
  return dy * fmaf(-y, y, 1.0f);
}

// The gates of one row's units, in registers.
template <int kGates, int N>
struct Gates {
  float values[kGates][N];

  // The first gate of the units at an offset into (rows, hidden).
  __device__ static std::int64_t start(std::int64_t row, std::int64_t offset, std::int64_t hidden) {
    return offset + row * (kGates - 1) * hidden;
  }
  template <typename T>
  __device__ void fetch(const T* from, std::int64_t hidden, std::int64_t count, bool whole) {
#pragma unroll
    for (int gate = 0; gate < kGates; ++gate)
      load_some<N>(from + gate * hidden, count, whole, values[gate]);
  }
  template <typename T>
  __device__ void keep(T* to, std::int64_t hidden, std::int64_t count, bool whole) const {
#pragma unroll
    for (int gate = 0; gate < kGates; ++gate)
      store_some<N>(to + gate * hidden, count, whole, values[gate]);
  }
};

// i, f, o = sigmoid(x + h), g = tanh(x + h); c' = f c + i g; y = o tanh(c')
template <typename T, typename C>
struct LstmForward {
  static constexpr int kPack = gpu::kPack<T>;
  const T *gates_x, *gates_h;
  const C* c_before;
  T* gates;
  C* c;
  T* h;
  std::int64_t hidden;

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const std::int64_t start = Gates<4, kPack>::start(row, offset, hidden);
    Gates<4, kPack> x, from_h;
    float cell[kPack], y[kPack];
    x.fetch(gates_x + start, hidden, count, whole);
    from_h.fetch(gates_h + start, hidden, count, whole);
    load_some<kPack>(c_before + offset, count, whole, cell);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float i = sigmoid(x.values[0][k] + from_h.values[0][k]);
      const float f = sigmoid(x.values[1][k] + from_h.values[1][k]);
      const float g = tanhf(x.values[2][k] + from_h.values[2][k]);
      const float o = sigmoid(x.values[3][k] + from_h.values[3][k]);
      cell[k] = fmaf(f, cell[k], i * g);
      y[k] = o * tanhf(cell[k]);
      x.values[0][k] = i;
      x.values[1][k] = f;
      x.values[2][k] = g;
      x.values[3][k] = o;
    }
    x.keep(gates + start, hidden, count, whole);
    store_some<kPack>(c + offset, count, whole, cell);
    store_some<kPack>(h + offset, count, whole, y);
  }
};

template <typename T, typename C>
struct LstmBackward {
  static constexpr int kPack = gpu::kPack<T>;
  const T* gates;
  const C *c_before, *c;
  const T* dh;
  const C* dc;
  T* dgates;
  C* dc_before;
  std::int64_t hidden;

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const std::int64_t start = Gates<4, kPack>::start(row, offset, hidden);
    Gates<4, kPack> own;
    float before[kPack], cell[kPack], out[kPack], dcell[kPack];
    own.fetch(gates + start, hidden, count, whole);
    load_some<kPack>(c_before + offset, count, whole, before);
    load_some<kPack>(c + offset, count, whole, cell);
    load_some<kPack>(dh + offset, count, whole, out);
    load_some<kPack>(dc + offset, count, whole, dcell);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float i = own.values[0][k], f = own.values[1][k];
      const float g = own.values[2][k], o = own.values[3][k];
      const float squashed = tanhf(cell[k]);
      const float slope = dcell[k] + tanh_backward(squashed, out[k] * o);
      own.values[0][k] = sigmoid_backward(i, slope * g);
      own.values[1][k] = sigmoid_backward(f, slope * before[k]);
      own.values[2][k] = tanh_backward(g, slope * i);
      own.values[3][k] = sigmoid_backward(o, out[k] * squashed);
      dcell[k] = slope * f;
    }
    own.keep(dgates + start, hidden, count, whole);
    store_some<kPack>(dc_before + offset, count, whole, dcell);
  }
};

// r, z = sigmoid(x + h); n = tanh(x_n + r h_n); y = n + z (h_before - n)
template <typename T>
struct GruForward {
  static constexpr int kPack = gpu::kPack<T>;
  const T *gates_x, *gates_h, *h_before;
  T *gates, *h;
  std::int64_t hidden;

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const std::int64_t start = Gates<3, kPack>::start(row, offset, hidden);
    Gates<3, kPack> x, from_h;
    float before[kPack];
    x.fetch(gates_x + start, hidden, count, whole);
    from_h.fetch(gates_h + start, hidden, count, whole);
    load_some<kPack>(h_before + offset, count, whole, before);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float r = sigmoid(x.values[0][k] + from_h.values[0][k]);
      const float z = sigmoid(x.values[1][k] + from_h.values[1][k]);
      const float n = tanhf(fmaf(r, from_h.values[2][k], x.values[2][k]));
      x.values[0][k] = r;
      x.values[1][k] = z;
      x.values[2][k] = n;
      before[k] = fmaf(z, before[k] - n, n);
    }
    x.keep(gates + start, hidden, count, whole);
    store_some<kPack>(h + offset, count, whole, before);
  }
};

template <typename T>
struct GruBackward {
  static constexpr int kPack = gpu::kPack<T>;
  const T *gates, *gates_h, *h_before, *dh;
  T *dgates_x, *dgates_h, *dh_before;
  std::int64_t hidden;

  __device__ void begin(std::int64_t, std::int64_t, std::int64_t, bool) {}
  __device__ void at(std::int64_t row, std::int64_t offset, std::int64_t count, bool whole) const {
    const std::int64_t start = Gates<3, kPack>::start(row, offset, hidden);
    Gates<3, kPack> own;
    float h_n[kPack], before[kPack], out[kPack];
    own.fetch(gates + start, hidden, count, whole);
    load_some<kPack>(gates_h + start + 2 * hidden, count, whole, h_n);
    load_some<kPack>(h_before + offset, count, whole, before);
    load_some<kPack>(dh + offset, count, whole, out);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float r = own.values[0][k], z = own.values[1][k], n = own.values[2][k];
      const float dn = tanh_backward(n, out[k] * (1.0f - z));
      own.values[0][k] = sigmoid_backward(r, dn * h_n[k]);
      own.values[1][k] = sigmoid_backward(z, out[k] * (before[k] - n));
      own.values[2][k] = dn;
      h_n[k] = dn * r;
      before[k] = out[k] * z;
    }
    own.keep(dgates_x + start, hidden, count, whole);
#pragma unroll
    for (int k = 0; k < kPack; ++k) own.values[2][k] = h_n[k];
    own.keep(dgates_h + start, hidden, count, whole);
    store_some<kPack>(dh_before + offset, count, whole, before);
  }
};

// Tensors of one step: `gates` blocks of `hidden` columns, or one, as wide as a hidden state.
struct CellShape {
  std::int64_t rows, hidden, gates;
  DType type;

  CellShape(const Tensor& state, const char* name, std::int64_t gate_count) : gates(gate_count) {
    LOCKSTEP_CHECK(state.defined(), "{} is undefined", name);
    rows = state.rows();
    hidden = state.shape().back();
    type = state.dtype();
    check_state(state, name);
  }
  void check_gates(const Tensor& tensor, const char* name) const {
    check_shape(tensor, {rows, gates * hidden}, name, type);
  }
  void check_state(const Tensor& tensor, const char* name) const {
    check_shape(tensor, {rows, hidden}, name, type);
  }
  void check_cell(const Tensor& tensor, const char* name, DType cell_type) const {
    check_shape(tensor, {rows, hidden}, name, cell_type);
  }

  template <typename Map>
  void run(Stream& stream, const char* name, const Map& map, bool aligned_addresses) const {
    map_columns(raw(stream), name, map, 1, rows, hidden, aligned_addresses);
  }
};

// run(T{}, C{}): the types of hidden states and of cell states.
template <typename Run>
void for_cell_types(const Tensor& h, const Tensor& c, const Run& run) {
  for_element_type(h, "h", [&]<typename T>(T of_h) {
    for_element_type(c, "c", [&]<typename C>(C of_c) { run(of_h, of_c); });
  });
}

}  // namespace
}  // namespace gpu

void CudaBackend::lstm_cell_forward(Stream& stream, const Tensor& gates_x, const Tensor& gates_h,
                                    const Tensor& c_before, Tensor& gates, Tensor& c, Tensor& h) {
  const gpu::CellShape shape(h, "h", 4);
  LOCKSTEP_CHECK(c.defined(), "c is undefined");
  shape.check_gates(gates_x, "gates_x");
  shape.check_gates(gates_h, "gates_h");
  shape.check_gates(gates, "gates");
  shape.check_cell(c_before, "c_before", c.dtype());
  shape.check_cell(c, "c", c.dtype());
  gpu::for_cell_types(h, c, [&]<typename T, typename C>(T, C) {
    constexpr int N = gpu::kPack<T>;
    shape.run(stream, "lstm_cell_forward",
              gpu::LstmForward<T, C>{gates_x.data<T>(), gates_h.data<T>(), c_before.data<C>(),
                                     gates.data<T>(), c.data<C>(), h.data<T>(), shape.hidden},
              gpu::all_aligned<N, T>({&gates_x, &gates_h, &gates, &h}) &&
                  gpu::all_aligned<N, C>({&c_before, &c}));
  });
}

void CudaBackend::lstm_cell_backward(Stream& stream, const Tensor& gates, const Tensor& c_before,
                                     const Tensor& c, const Tensor& dh, const Tensor& dc,
                                     Tensor& dgates, Tensor& dc_before) {
  const gpu::CellShape shape(dh, "dh", 4);
  LOCKSTEP_CHECK(c.defined(), "c is undefined");
  shape.check_gates(gates, "gates");
  shape.check_gates(dgates, "dgates");
  shape.check_cell(c_before, "c_before", c.dtype());
  shape.check_cell(c, "c", c.dtype());
  shape.check_cell(dc, "dc", c.dtype());
  shape.check_cell(dc_before, "dc_before", c.dtype());
  gpu::for_cell_types(dh, c, [&]<typename T, typename C>(T, C) {
    constexpr int N = gpu::kPack<T>;
    shape.run(
        stream, "lstm_cell_backward",
        gpu::LstmBackward<T, C>{gates.data<T>(), c_before.data<C>(), c.data<C>(), dh.data<T>(),
                                dc.data<C>(), dgates.data<T>(), dc_before.data<C>(), shape.hidden},
        gpu::all_aligned<N, T>({&gates, &dh, &dgates}) &&
            gpu::all_aligned<N, C>({&c_before, &c, &dc, &dc_before}));
  });
}

void CudaBackend::gru_cell_forward(Stream& stream, const Tensor& gates_x, const Tensor& gates_h,
                                   const Tensor& h_before, Tensor& gates, Tensor& h) {
  const gpu::CellShape shape(h, "h", 3);
  shape.check_gates(gates_x, "gates_x");
  shape.check_gates(gates_h, "gates_h");
  shape.check_state(h_before, "h_before");
  shape.check_gates(gates, "gates");
  gpu::for_element_type(h, "h", [&]<typename T>(T) {
    shape.run(stream, "gru_cell_forward",
              gpu::GruForward<T>{gates_x.data<T>(), gates_h.data<T>(), h_before.data<T>(),
                                 gates.data<T>(), h.data<T>(), shape.hidden},
              gpu::all_aligned<gpu::kPack<T>, T>({&gates_x, &gates_h, &h_before, &gates, &h}));
  });
}

void CudaBackend::gru_cell_backward(Stream& stream, const Tensor& gates, const Tensor& gates_h,
                                    const Tensor& h_before, const Tensor& dh, Tensor& dgates_x,
                                    Tensor& dgates_h, Tensor& dh_before) {
  const gpu::CellShape shape(dh, "dh", 3);
  shape.check_gates(gates, "gates");
  shape.check_gates(gates_h, "gates_h");
  shape.check_state(h_before, "h_before");
  shape.check_gates(dgates_x, "dgates_x");
  shape.check_gates(dgates_h, "dgates_h");
  shape.check_state(dh_before, "dh_before");
  gpu::for_element_type(dh, "dh", [&]<typename T>(T) {
    shape.run(stream, "gru_cell_backward",
              gpu::GruBackward<T>{gates.data<T>(), gates_h.data<T>(), h_before.data<T>(),
                                  dh.data<T>(), dgates_x.data<T>(), dgates_h.data<T>(),
                                  dh_before.data<T>(), shape.hidden},
              gpu::all_aligned<gpu::kPack<T>, T>(
                  {&gates, &gates_h, &h_before, &dh, &dgates_x, &dgates_h, &dh_before}));
  });
}

}  // namespace lockstep
