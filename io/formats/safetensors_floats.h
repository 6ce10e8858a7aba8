// Values of a safetensors file as float32, whichever kind of float they were saved as.
#pragma once

#include "io/formats/safetensors.h"

namespace lockstep {

// F32, F16, BF16 or F64; integers are none.
bool is_float(const SafetensorsReader::Entry& entry);

// A host tensor of float32; an F64 is rounded. Throws Error naming the file, the tensor and the
// place of the first value that is not finite, or an F64 too large for float32.
Tensor read_finite_floats(const SafetensorsReader& reader, const SafetensorsReader::Entry& entry);

}  // namespace lockstep
