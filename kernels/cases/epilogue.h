// What the cases of conv_inference and linear_inference share: an epilogue's tensors, and the same
// in double precision.
#pragma once

#include "kernels/cases/op_case.h"

namespace lockstep::cases {

struct EpilogueForm {
  std::string label;
  bool batch_norm = false, residual = false;
  std::optional<Activation> activation = {};  // ReLU, SiLU or GELU
};

std::vector<EpilogueForm> epilogue_forms();

// Makes a case of a forward pass, whose output is y, one of the pass with an epilogue.
void follow(const EpilogueForm& form, const Shape& y, OpCase& forward);
// Its tensors by the names that `follow` gave them.
Epilogue epilogue_of(const EpilogueForm& form, Tensors& tensors);

}  // namespace lockstep::cases
