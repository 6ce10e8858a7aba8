#include "kernels/cpu/panels.h"

namespace lockstep {

void transpose_panels(const PanelRows<const float>& from, std::int64_t rows, std::int64_t columns,
                      const PanelRows<float>& to) {
  // Blocks of one panel by one panel: both sides stay in the first-level cache.
  for (std::int64_t n0 = 0; n0 < columns; n0 += kPanelColumns) {
    const std::int64_t width = std::min(kPanelColumns, columns - n0);
    const float* const source = from.data + n0 * from.terms + from.first * width;
    for (std::int64_t k0 = 0; k0 < rows; k0 += kPanelColumns) {
      const std::int64_t height = std::min(kPanelColumns, rows - k0);
      float* const target = to.data + k0 * to.terms + (to.first + n0) * height;
      for (std::int64_t n = 0; n < width; ++n) {
        for (std::int64_t k = 0; k < height; ++k) {
          target[n * height + k] = source[(k0 + k) * width + n];
        }
      }
    }
  }
}

}  // namespace lockstep
