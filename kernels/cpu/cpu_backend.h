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

// Of linear layers and of convolutions without Winograd's transforms: the operands' type, and with
// bfloat16 how they are multiplied (gemm_bf16.h).
enum class Products { kFloat32, kBFloat16Dots, kBFloat16Fma };

// The faster form on this kind of processor. Throws Error, which names run.precision, where the
// processor has no instructions for bfloat16 or `isa` leaves them out.
Products bfloat16_products(Isa isa);

std::unique_ptr<Backend> make_cpu_backend(Isa isa, Products products = Products::kFloat32);

// Flush-to-zero and denormals-are-zero for the calling thread; every computing thread calls it.
void flush_denormals_to_zero();

}  // namespace lockstep
