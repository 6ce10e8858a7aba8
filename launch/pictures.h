// Pictures of a trained classifier: where it puts rows, and which places get which class.
#pragma once

#include <string>

#include "runtime/run/evaluation.h"
#include "runtime/run/session.h"

namespace lockstep {

// Labels of rows; probabilities count as their likeliest class, as they do for the accuracy.
Tensor labels_of(const Tensor& targets);

struct PictureTitle {
  std::string run, split;
};

// Collectives of all ranks; rank 0 writes the PNG. `rows`: what evaluating the split gave. They
// return the line that says what is to be seen. Throw Error where there are no classes to colour.

// What the last linear layer gets of each row, on two principal axes. Throws Error where no layer
// is hidden before it.
std::string draw_embedding(Session& session, const EvaluationOptions& options,
                           const RowResults& rows, const PictureTitle& title,
                           const std::string& png);

// Rows of two columns, before a map of the class that each place gets. Throws Error for other rows.
std::string draw_boundary(Session& session, const EvaluationOptions& options,
                          const RowResults& rows, const PictureTitle& title,
                          const std::string& png);

}  // namespace lockstep
