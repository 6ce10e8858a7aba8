// Agreement: what ranks must have in common before they start. An error of one becomes the error of
// all, so that rank 0 alone reports it; what differs is named before the first step.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/communication/communicator.h"

namespace lockstep {

// The same text on every rank: only rank 0 prints it.
class AgreedError : public Error {
 public:
  explicit AgreedError(const std::string& message) : Error(message) {}
};

// Runs `work` on every rank; if it throws an Error on any, throws AgreedError with the text of the
// lowest such rank (named, if other ranks succeeded) on all.
void together(Communicator& communicator, const std::function<void()>& work);

// Each pair is (what, value); throws AgreedError naming what differs, and on which rank, with a
// piece of both values.
void require_same(Communicator& communicator,
                  const std::vector<std::pair<std::string, std::string>>& facts);

}  // namespace lockstep
