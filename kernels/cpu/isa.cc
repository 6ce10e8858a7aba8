// Which instruction set runs: chosen once at start, printed and recorded; never a silent fallback.
#include <cmath>

#include "kernels/cpu/cpu_backend.h"

#ifdef LOCKSTEP_X86_64
#include <immintrin.h>
#endif

namespace lockstep {

namespace {

bool runs(Isa isa) {
#ifdef LOCKSTEP_X86_64
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  switch (isa) {
    case Isa::kGeneric:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
    case Isa::kNeon:
      return false;
  }
#elif defined(LOCKSTEP_AARCH64)
  if (isa == Isa::kNeon) return true;
#endif
  return isa == Isa::kGeneric;
}

}  // namespace

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kGeneric:
      return "generic";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kNeon:
      return "neon";
  }
  throw Error("unknown instruction set {}", static_cast<int>(isa));
}

std::vector<Isa> runnable_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kGeneric, Isa::kNeon, Isa::kAvx2, Isa::kAvx512})
    if (runs(isa)) isas.push_back(isa);
  return isas;
}

Isa best_isa() {
  return runnable_isas().back();
}

Isa parse_isa(const std::string& name) {
  if (name == "auto") return best_isa();
  for (const Isa isa : {Isa::kGeneric, Isa::kNeon, Isa::kAvx2, Isa::kAvx512}) {
    if (name != name_of(isa)) continue;
    if (!runs(isa))
      throw Error("run.isa = \"{}\": this processor lacks it; it can run \"{}\"", name,
                  name_of(best_isa()));
    return isa;
  }
  throw Error("run.isa = \"{}\": use \"auto\", \"avx512\", \"avx2\", \"neon\" or \"generic\"",
              name);
}

Products bfloat16_products(Isa isa) {
  constexpr const char* kRemedy = "set run.precision = \"float32\", or use a processor that has it";
#ifdef LOCKSTEP_X86_64
  if (!runs(Isa::kAvx512) || !__builtin_cpu_supports("avx512bf16"))
    throw Error(
        "run.precision = \"bfloat16\": this processor lacks the instructions for it, avx512_bf16 "
        "(see the flags in /proc/cpuinfo); {}",
        kRemedy);
  if (isa != Isa::kAvx512)
    throw Error(
        "run.precision = \"bfloat16\" needs the instructions avx512_bf16, which run.isa = \"{}\" "
        "leaves out; set run.isa = \"auto\", or run.precision = \"float32\"",
        name_of(isa));
  // Intel's processors take at least as long for the terms of vdpbf16ps as for float32's, some
  // twice as long; AMD's half as long.
  return __builtin_cpu_is("intel") ? Products::kBFloat16Fma : Products::kBFloat16Dots;
#else
  static_cast<void>(isa);
  throw Error(
      "run.precision = \"bfloat16\" needs an x86-64 processor with the instructions avx512_bf16; "
      "{}",
      kRemedy);
#endif
}

void flush_denormals_to_zero() {
#ifdef LOCKSTEP_X86_64
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ (bit 15) and DAZ (bit 6)
#elif defined(__aarch64__)
  std::uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | (std::uint64_t{1} << 24)));
#endif
}

}  // namespace lockstep
