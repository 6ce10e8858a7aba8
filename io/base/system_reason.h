// What the system says of a failed call, in words for whoever reads the message.
#pragma once

#include <string>

namespace lockstep {

// The text of an errno, with what to do about it where that is known.
std::string system_reason(int error);

}  // namespace lockstep
