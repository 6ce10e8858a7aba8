// The ONNX file of `export --onnx`: a trained network, with what its user needs to know.
#pragma once

#include <string>

#include "launch/networks.h"
#include "launch/trained.h"

namespace lockstep {

// Input: float32 values as they stand in the data file (pixels from 0 to 255), images as
// (N, C, H, W), N open; the normalisation is part of the model. Output: the network's, "logits"
// for a loss over classes. The metadata say so, and name the classes.
void write_onnx_model(const std::string& file, const ModelArguments& arguments,
                      const Networks& networks);

}  // namespace lockstep
