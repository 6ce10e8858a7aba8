// Whether the outputs of a network tell the classes of the data apart.
#pragma once

#include <string>

#include "runtime/config/config.h"

namespace lockstep {

struct ClassCheck {
  LossKind loss = LossKind::kCrossEntropy;
  std::int64_t classes = 0;  // of the data
  std::string data;          // "digits.h5 /train"
};

// Throws Error where the network has too few outputs: a rare class would else end a run at whatever
// step meets it. The message begins with the key that set their number: that of the last of
// [[model.layers]], or model.outputs.
void check_trained_outputs(const ClassCheck& check, const ModelTable& model, std::int64_t outputs);
// The same of a network that is trained already.
void check_evaluated_outputs(const ClassCheck& check, std::int64_t outputs);

// One line where outputs are left over, which no row ever has as its class; else "".
std::string spare_outputs_note(const ClassCheck& check, std::int64_t outputs);

}  // namespace lockstep
