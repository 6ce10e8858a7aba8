#include "kernels/cuda/cublaslt_api.h"

#include <dlfcn.h>

namespace lockstep::gpu {

namespace {

CublasLt load() {
  const std::string file = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // for good
  if (library == nullptr) throw Error("cuBLASLt could not be loaded: {}", dlerror());
  const auto find = [&](const char* name) {
    void* const address = dlsym(library, name);
    if (address == nullptr) throw Error("{} is another cuBLASLt: {}", file, dlerror());
    return address;
  };
  CublasLt api{};
#define X(name) api.name = reinterpret_cast<decltype(api.name)>(find(#name));
  LOCKSTEP_CUBLASLT_FUNCTIONS(X)
#undef X
  return api;
}

}  // namespace

const CublasLt& cublaslt() {
  static const CublasLt api = load();
  return api;
}

}  // namespace lockstep::gpu
