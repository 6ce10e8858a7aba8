// Matrix products by cuBLASLt: a fixed algorithm for each shape, chosen by its heuristic among
// those that add up in one order (in one pass, or in parts joined in the type of the sums), never
// by timing.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "kernels/cuda/cublaslt_api.h"
#include "kernels/cuda/libraries.h"

namespace lockstep::gpu {

class CublasLtProduct;  // descriptors and algorithm of one shape

class CublasLtProducts {
 public:
  CublasLtProducts(Float32Products products, PlanBook& book);
  ~CublasLtProducts();
  CublasLtProducts(const CublasLtProducts&) = delete;
  CublasLtProducts& operator=(const CublasLtProducts&) = delete;

  void multiply(CudaStream& stream, const MatrixProduct& product, const void* a, const void* b,
                const float* bias, void* c);

 private:
  struct Question {  // what an algorithm is chosen by
    MatrixProduct product;
    bool bias = false;
    unsigned alignment = 16;  // bytes, of the least aligned matrix
    friend auto operator<=>(const Question&, const Question&) = default;
  };
  CublasLtProduct& planned(const Question& question);

  const Float32Products products_;
  PlanBook& book_;
  cublasLtHandle_t handle_ = nullptr;
  std::mutex mutex_;  // guards plans_; what they point to is fixed once it is there
  std::map<Question, std::unique_ptr<CublasLtProduct>> plans_;
};

}  // namespace lockstep::gpu
