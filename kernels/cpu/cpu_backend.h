// The CPU back end's entry: a Backend over the vector kernels of one instruction set.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace lockstep {

enum class Isa { kGeneric, kAvx2, kAvx512, kNeon };

std::vector<Isa> runnable_isas();  // by this processor, generic first, the best last
Isa best_isa();
Isa parse_isa(const std::string& name);  // "auto" or a name; throws Error
                                         // when unknown, or when this processor lacks it
std::string_view name_of(Isa isa);

std::unique_ptr<Backend> make_cpu_backend(Isa isa);

// Flush-to-zero and denormals-are-zero for the calling thread; every computing thread calls it.
void flush_denormals_to_zero();

}  // namespace lockstep
