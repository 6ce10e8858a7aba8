// Faults that a test orders from the emulated GPU, counted in its pieces of work (kernels, copies):
//   EMULATED_FAULT="kernel N"   the N-th ends as a kernel that leaves its memory does: for good
//   EMULATED_FAULT="memory N"   from the N-th on, there is no memory left to allocate
#pragma once

#include <cstddef>
#include <cstdint>

namespace lockstep::emulation {

void begin_work();                         // throws what the next piece of work meets
std::int64_t work_done();                  // pieces so far
void begin_allocation(std::size_t bytes);  // throws where no memory is left

}  // namespace lockstep::emulation
