// cuBLASLt's functions, from a library that is loaded when they are first asked for: it takes a
// fifth of a second and 150 MB a process, which ranks that end up on a CPU should not pay.
#pragma once

#include <cublasLt.h>

#include "kernels/core/error.h"

namespace lockstep::gpu {

#define LOCKSTEP_CUBLASLT_FUNCTIONS(X)    \
  X(cublasLtCreate)                       \
  X(cublasLtDestroy)                      \
  X(cublasLtGetStatusString)              \
  X(cublasLtGetVersion)                   \
  X(cublasLtMatmul)                       \
  X(cublasLtMatmulAlgoCheck)              \
  X(cublasLtMatmulAlgoConfigGetAttribute) \
  X(cublasLtMatmulAlgoConfigSetAttribute) \
  X(cublasLtMatmulAlgoGetHeuristic)       \
  X(cublasLtMatmulAlgoInit)               \
  X(cublasLtMatmulDescCreate)             \
  X(cublasLtMatmulDescDestroy)            \
  X(cublasLtMatmulDescSetAttribute)       \
  X(cublasLtMatmulPreferenceCreate)       \
  X(cublasLtMatmulPreferenceDestroy)      \
  X(cublasLtMatmulPreferenceSetAttribute) \
  X(cublasLtMatrixLayoutCreate)           \
  X(cublasLtMatrixLayoutDestroy)          \
  X(cublasLtMatrixLayoutSetAttribute)

struct CublasLt {
#define X(name) decltype(&::name) name;
  LOCKSTEP_CUBLASLT_FUNCTIONS(X)
#undef X
};

const CublasLt& cublaslt();  // throws Error with the loader's message where there is no library

}  // namespace lockstep::gpu
