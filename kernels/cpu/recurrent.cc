// Cells of recurrent layers: one step of all sequences, row by row.
#include "kernels/cpu/backend_impl.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/vector_kernels.h"

namespace lockstep {

namespace {

// Tensors of one step: `gates` blocks of `hidden` columns, or one.
struct CellShape {
  std::int64_t rows, hidden, gates;

  CellShape(const Tensor& state, std::int64_t gate_count)
      : rows(state.rows()), hidden(state.shape().back()), gates(gate_count) {}
  void check_gates(const Tensor& tensor, const char* name) const {
    cpu::check_shape(tensor, {rows, gates * hidden}, name);
  }
  void check_state(const Tensor& tensor, const char* name) const {
    cpu::check_shape(tensor, {rows, hidden}, name);
  }
};

}  // namespace

void CpuBackend::lstm_cell_forward(Stream&, const Tensor& gates_x, const Tensor& gates_h,
                                   const Tensor& c_before, Tensor& gates, Tensor& c, Tensor& h) {
  const CellShape shape(h, 4);
  shape.check_gates(gates_x, "gates_x");
  shape.check_gates(gates_h, "gates_h");
  shape.check_state(c_before, "c_before");
  shape.check_gates(gates, "gates");
  shape.check_state(c, "c");
  shape.check_state(h, "h");
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    const std::int64_t gate = row * 4 * shape.hidden, state = row * shape.hidden;
    vector_.recurrent.lstm_forward(
        gates_x.data<float>() + gate, gates_h.data<float>() + gate, c_before.data<float>() + state,
        shape.hidden, gates.data<float>() + gate, c.data<float>() + state, h.data<float>() + state);
  }
}

void CpuBackend::lstm_cell_backward(Stream&, const Tensor& gates, const Tensor& c_before,
                                    const Tensor& c, const Tensor& dh, const Tensor& dc,
                                    Tensor& dgates, Tensor& dc_before) {
  const CellShape shape(dh, 4);
  shape.check_gates(gates, "gates");
  shape.check_state(c_before, "c_before");
  shape.check_state(c, "c");
  shape.check_state(dh, "dh");
  shape.check_state(dc, "dc");
  shape.check_gates(dgates, "dgates");
  shape.check_state(dc_before, "dc_before");
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    const std::int64_t gate = row * 4 * shape.hidden, state = row * shape.hidden;
    vector_.recurrent.lstm_backward(gates.data<float>() + gate, c_before.data<float>() + state,
                                    c.data<float>() + state, dh.data<float>() + state,
                                    dc.data<float>() + state, shape.hidden,
                                    dgates.data<float>() + gate, dc_before.data<float>() + state);
  }
}

void CpuBackend::gru_cell_forward(Stream&, const Tensor& gates_x, const Tensor& gates_h,
                                  const Tensor& h_before, Tensor& gates, Tensor& h) {
  const CellShape shape(h, 3);
  shape.check_gates(gates_x, "gates_x");
  shape.check_gates(gates_h, "gates_h");
  shape.check_state(h_before, "h_before");
  shape.check_gates(gates, "gates");
  shape.check_state(h, "h");
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    const std::int64_t gate = row * 3 * shape.hidden, state = row * shape.hidden;
    vector_.recurrent.gru_forward(gates_x.data<float>() + gate, gates_h.data<float>() + gate,
                                  h_before.data<float>() + state, shape.hidden,
                                  gates.data<float>() + gate, h.data<float>() + state);
  }
}

void CpuBackend::gru_cell_backward(Stream&, const Tensor& gates, const Tensor& gates_h,
                                   const Tensor& h_before, const Tensor& dh, Tensor& dgates_x,
                                   Tensor& dgates_h, Tensor& dh_before) {
  const CellShape shape(dh, 3);
  shape.check_gates(gates, "gates");
  shape.check_gates(gates_h, "gates_h");
  shape.check_state(h_before, "h_before");
  shape.check_state(dh, "dh");
  shape.check_gates(dgates_x, "dgates_x");
  shape.check_gates(dgates_h, "dgates_h");
  shape.check_state(dh_before, "dh_before");
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    const std::int64_t gate = row * 3 * shape.hidden, state = row * shape.hidden;
    vector_.recurrent.gru_backward(gates.data<float>() + gate, gates_h.data<float>() + gate,
                                   h_before.data<float>() + state, dh.data<float>() + state,
                                   shape.hidden, dgates_x.data<float>() + gate,
                                   dgates_h.data<float>() + gate, dh_before.data<float>() + state);
  }
}

}  // namespace lockstep
