// libraries.h by cuBLASLt and cuDNN.
#include "kernels/cuda/cublaslt_products.h"
#include "kernels/cuda/cudnn_convolutions.h"
#include "kernels/cuda/devices.h"

namespace lockstep::gpu {

namespace {

class NvidiaLibraries final : public Libraries {
 public:
  explicit NvidiaLibraries(Float32Products products)
      : products_(products, plans()), convolutions_(products, plans()) {}

  std::string versions() const override {
    std::string text;
    for (const LibraryVersion& library : library_versions())
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", library.name, library.version);
    return text;
  }

  void multiply(CudaStream& stream, const MatrixProduct& product, const void* a, const void* b,
                const float* bias, void* c) override {
    products_.multiply(stream, product, a, b, bias, c);
  }

  void conv_forward(CudaStream& stream, const Convolution& convolution, const void* x,
                    const void* w, const float* bias, void* y) override {
    convolutions_.run(stream, ConvPass::kForward, convolution, x, w, y, bias);
  }
  void conv_backward_data(CudaStream& stream, const Convolution& convolution, const void* dy,
                          const void* w, void* dx) override {
    convolutions_.run(stream, ConvPass::kBackwardData, convolution, dx, w, dy);
  }
  void conv_backward_weights(CudaStream& stream, const Convolution& convolution, const void* x,
                             const void* dy, void* dw) override {
    convolutions_.run(stream, ConvPass::kBackwardWeights, convolution, x, dw, dy);
  }

 private:
  CublasLtProducts products_;
  CudnnConvolutions convolutions_;
};

}  // namespace

std::unique_ptr<Libraries> make_libraries(Float32Products products) {
  return std::make_unique<NvidiaLibraries>(products);
}

}  // namespace lockstep::gpu
