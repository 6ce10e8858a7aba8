// The two directions in which rows of numbers vary most (principal component analysis), and where
// the rows lie along them.
#pragma once

#include <array>
#include <vector>

#include "kernels/core/tensor.h"

namespace lockstep {

struct PrincipalPlane {
  std::vector<std::array<double, 2>> places;  // a row each
  std::array<double, 2> share{};              // of the rows' variance along each direction
};

// x: float32 (rows, columns) on the host. In double, by subspace iteration on the centred rows, so
// that memory for 4 x columns numbers is enough; a direction's largest element is positive. Rows of
// one column, or all equal, lie at 0 along what is missing.
PrincipalPlane principal_plane(const Tensor& x);

}  // namespace lockstep
