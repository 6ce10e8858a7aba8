// A plan: which of its ways one of NVIDIA's libraries takes for a question that it was asked. The
// choice decides the bits, so that ranks compare their plans, and a resumed run takes those of its
// first start.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

struct LibraryPlan {
  std::string question;  // "cuDNN: forward of 32 x (56, 56, 64), 3x3 to 64 channels, float32"
  std::string choice;    // {"engineId":62,"smVersion":900,"knobChoices":{...}}
  friend bool operator==(const LibraryPlan&, const LibraryPlan&) = default;
};

}  // namespace lockstep
