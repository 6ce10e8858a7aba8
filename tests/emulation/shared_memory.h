// The shared memory of the running block: one region in which each variable stands between gaps, so
// that a write beside it is seen. It is NaN before a block's first write.
#pragma once

#include <cstddef>

namespace lockstep::emulation {

void begin_shared(std::size_t dynamic_bytes);  // of a launch: forgets all variables
void poison_shared();                          // of a block
void check_shared_gaps();                      // throws Error where something was written

}  // namespace lockstep::emulation
