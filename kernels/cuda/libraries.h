// What the CUDA back end leaves to NVIDIA's libraries: matrix products (cuBLASLt) and convolutions
// (cuDNN). Two implementations: cublaslt.cc and cudnn_*.cc call the libraries; the tests' emulation
// has loops in their place. All matrices are row-major, all addresses are of the device; what is
// called queues work on the stream and takes scratch memory from its workspace. The same shapes get
// the same algorithm in every run, one whose bits never vary.
#pragma once

#include <compare>
#include <memory>

#include "kernels/backend.h"
#include "kernels/cuda/plan_book.h"
#include "kernels/cuda/stream.h"

namespace lockstep::gpu {

enum class ProductActivation { kNone, kRelu, kGeluTanh };

// c (rows, columns) = activation(a (rows, inner) · b (inner, columns) + bias (columns))
struct MatrixProduct {
  std::int64_t rows = 0, columns = 0, inner = 0;
  bool transposed_a = false;         // a lies in memory as (inner, rows)
  bool transposed_b = false;         // b as (columns, inner)
  DType operands = DType::kFloat32;  // of a and b; bfloat16 is multiplied into float32 sums
  DType result = DType::kFloat32;    // of c
  ProductActivation activation = ProductActivation::kNone;
  friend auto operator<=>(const MatrixProduct&, const MatrixProduct&) = default;
};

struct Convolution {  // x, y as Backend has them; w (out_c, kernel_h, kernel_w, in_c / groups)
  ConvGeometry geometry;
  std::int64_t images = 0;
  DType type = DType::kFloat32;  // of x, y, w and their gradients; sums are float32
};

// Of float32 operands.
enum class Float32Products { kStrict, kTf32 };

class Libraries {  // the handles of one device
 public:
  virtual ~Libraries() = default;

  virtual std::string versions() const = 0;  // "cuBLASLt 13.0.2, cuDNN 9.14.0"

  // Of all that was asked so far; what is taken before a question is asked answers it.
  PlanBook& plans() { return plans_; }

  // bias, float32, may be null; it is rounded to the result's type before it is added. rows,
  // columns and inner are positive.
  virtual void multiply(CudaStream&, const MatrixProduct&, const void* a, const void* b,
                        const float* bias, void* c) = 0;

  // bias (out_c), float32, may be null.
  virtual void conv_forward(CudaStream&, const Convolution&, const void* x, const void* w,
                            const float* bias, void* y) = 0;
  virtual void conv_backward_data(CudaStream&, const Convolution&, const void* dy, const void* w,
                                  void* dx) = 0;
  virtual void conv_backward_weights(CudaStream&, const Convolution&, const void* x, const void* dy,
                                     void* dw) = 0;

 private:
  PlanBook plans_;
};

std::unique_ptr<Libraries> make_libraries(Float32Products products);

}  // namespace lockstep::gpu
