// legacy_conv: convolutions by the CUDA plug-in, which asks cuDNN's graph API, beside the same by
// cuDNN's legacy functions, which choose by another way: forward, of the data and of the weights,
// in float32 and bfloat16, for a few geometries. Prints a line each. Exit code 0: all agree; 1:
// not; 77: there is no GPU.
//
//   legacy_conv [--plugin FILE]
#include <cuda_runtime.h>
#include <cudnn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/cases/case_run.h"
#include "kernels/core/small_floats.h"
#include "kernels/gpu/gpu_library.h"

namespace lockstep {
namespace {

void check(cudnnStatus_t status, const char* call) {
  if (status != CUDNN_STATUS_SUCCESS) throw Error("{}: {}", call, cudnnGetErrorString(status));
}

void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) throw Error("{}: {}", call, cudaGetErrorString(status));
}

// A handle of cuDNN's with what makes and ends it.
template <typename Handle>
class Owned {
 public:
  Owned(cudnnStatus_t (*make)(Handle*), cudnnStatus_t (*end)(Handle)) : end_(end) {
    check(make(&handle_), "a descriptor");
  }
  ~Owned() { end_(handle_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  operator Handle() const { return handle_; }  // as cuDNN's functions take it

 private:
  Handle handle_ = nullptr;
  cudnnStatus_t (*end_)(Handle);
};

struct Geometry {
  const char* name;
  std::int64_t images;
  ConvGeometry conv;
};

ConvGeometry square(std::int64_t image, std::int64_t in, std::int64_t out, std::int64_t kernel,
                    std::int64_t stride, std::int64_t pad) {
  ConvGeometry g;
  g.in_h = g.in_w = image;
  g.in_c = in;
  g.out_c = out;
  g.kernel_h = g.kernel_w = kernel;
  g.stride_h = g.stride_w = stride;
  g.pad_h = g.pad_w = pad;
  return g;
}

const std::vector<Geometry>& geometries() {
  static const std::vector<Geometry> all = {
      {"3 x 3", 8, square(14, 64, 64, 3, 1, 1)},
      {"3 x 3, stride 2", 8, square(15, 32, 64, 3, 2, 1)},
      {"1 x 1", 8, square(14, 128, 64, 1, 1, 0)},
      {"5 x 5 of 8 channels", 8, square(28, 8, 32, 5, 1, 2)},
      {"7 x 7, stride 2", 4, square(56, 8, 64, 7, 2, 3)},
  };
  return all;
}

// Numbers of the host as a tensor of the device, and back.
Tensor uploaded(Backend& backend, const std::vector<float>& values, const Shape& shape,
                DType type) {
  Tensor host = backend.empty_pinned(shape, type);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (type == DType::kFloat32)
      host.data<float>()[i] = values[i];
    else
      reinterpret_cast<std::uint16_t*>(host.raw())[i] = to_bfloat16(values[i]);
  }
  Tensor there = backend.empty(shape, type);
  backend.copy(host, there);
  return there;
}

std::vector<float> downloaded(const Tensor& tensor) {
  const Tensor host = tensor.to_host();
  std::vector<float> values(static_cast<std::size_t>(host.elements()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = host.dtype() == DType::kFloat32
                    ? host.data<float>()[i]
                    : from_bfloat16(reinterpret_cast<const std::uint16_t*>(host.raw())[i]);
  return values;
}

std::vector<float> random_values(std::int64_t count, std::uint64_t stream) {
  cases::Random random(cases::test_seed(), stream);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(-1, 1));
  return values;
}

// Largest difference beside the largest number; what is no number is far off.
double distance(const std::vector<float>& one, const std::vector<float>& other) {
  double most = 0, difference = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    most = std::max(most, std::abs(double(one[i])));
    const double off = std::abs(double(one[i]) - double(other[i]));
    difference = std::max(difference, std::isfinite(off) ? off : 1e30);
  }
  return difference / most;
}

class NoAlgorithm : public Error {
 public:
  NoAlgorithm() : Error(std::string("the legacy functions have none")) {}
};

// One geometry by cuDNN's legacy functions.
class Legacy {
 public:
  Legacy(Backend& backend, const Geometry& geometry, DType type)
      : backend_(backend),
        type_(type),
        handle_(cudnnCreate, cudnnDestroy),
        x_(cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor),
        y_(cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor),
        w_(cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor),
        conv_(cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor) {
    const ConvGeometry& g = geometry.conv;
    const cudnnDataType_t data = type == DType::kFloat32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;
    const auto number = [](std::int64_t value) { return static_cast<int>(value); };
    const int images = number(geometry.images);
    check(cudnnSetTensor4dDescriptor(x_, CUDNN_TENSOR_NHWC, data, images, number(g.in_c),
                                     number(g.in_h), number(g.in_w)),
          "the images");
    check(cudnnSetTensor4dDescriptor(y_, CUDNN_TENSOR_NHWC, data, images, number(g.out_c),
                                     number(g.out_h()), number(g.out_w())),
          "the result");
    check(cudnnSetFilter4dDescriptor(w_, data, CUDNN_TENSOR_NHWC, number(g.out_c), number(g.in_c),
                                     number(g.kernel_h), number(g.kernel_w)),
          "the weights");
    check(cudnnSetConvolution2dDescriptor(conv_, number(g.pad_h), number(g.pad_w),
                                          number(g.stride_h), number(g.stride_w),
                                          number(g.dilation_h), number(g.dilation_w),
                                          CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
          "the convolution");
    check(cudnnSetConvolutionMathType(
              conv_, type == DType::kFloat32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH),
          "the kind of arithmetic");
  }

  void forward(const Tensor& x, const Tensor& w, Tensor& y) {
    const auto way = choose<cudnnConvolutionFwdAlgoPerf_t>([&](int most, int* found, auto* ways) {
      return cudnnGetConvolutionForwardAlgorithm_v7(handle_, x_, w_, conv_, y_, most, found, ways);
    });
    check(cudnnConvolutionForward(handle_, &kOne, x_, x.raw(), w_, w.raw(), conv_, way.algo,
                                  scratch_.raw(), way.memory, &kZero, y_, y.raw()),
          "cudnnConvolutionForward");
    check(cudaDeviceSynchronize(), "cudnnConvolutionForward");
  }

  void backward_data(const Tensor& dy, const Tensor& w, Tensor& dx) {
    const auto way =
        choose<cudnnConvolutionBwdDataAlgoPerf_t>([&](int most, int* found, auto* ways) {
          return cudnnGetConvolutionBackwardDataAlgorithm_v7(handle_, w_, y_, conv_, x_, most,
                                                             found, ways);
        });
    check(cudnnConvolutionBackwardData(handle_, &kOne, w_, w.raw(), y_, dy.raw(), conv_, way.algo,
                                       scratch_.raw(), way.memory, &kZero, x_, dx.raw()),
          "cudnnConvolutionBackwardData");
    check(cudaDeviceSynchronize(), "cudnnConvolutionBackwardData");
  }

  void backward_weights(const Tensor& x, const Tensor& dy, Tensor& dw) {
    const auto way =
        choose<cudnnConvolutionBwdFilterAlgoPerf_t>([&](int most, int* found, auto* ways) {
          return cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle_, x_, y_, conv_, w_, most,
                                                               found, ways);
        });
    check(cudnnConvolutionBackwardFilter(handle_, &kOne, x_, x.raw(), y_, dy.raw(), conv_, way.algo,
                                         scratch_.raw(), way.memory, &kZero, w_, dw.raw()),
          "cudnnConvolutionBackwardFilter");
    check(cudaDeviceSynchronize(), "cudnnConvolutionBackwardFilter");
  }

 private:
  static constexpr float kOne = 1, kZero = 0;

  // The first of cuDNN's own choice that it has; float32 without the tensor cores' shorter
  // operands.
  template <typename Way, typename Ask>
  Way choose(const Ask& ask) {
    Way ways[16];
    int found = 0;
    check(ask(16, &found, ways), "the choice of an algorithm");
    for (const Way& way : std::span(ways, static_cast<std::size_t>(found))) {
      const bool exact = type_ != DType::kFloat32 || way.mathType == CUDNN_FMA_MATH;
      if (way.status != CUDNN_STATUS_SUCCESS || !exact) continue;
      check(cudnnSetConvolutionMathType(conv_, way.mathType), "the kind of arithmetic");
      scratch_ = backend_.empty({static_cast<std::int64_t>(way.memory)}, DType::kUInt8);
      return way;
    }
    throw NoAlgorithm();
  }

  Backend& backend_;
  DType type_;
  Tensor scratch_;
  Owned<cudnnHandle_t> handle_;
  Owned<cudnnTensorDescriptor_t> x_, y_;
  Owned<cudnnFilterDescriptor_t> w_;
  Owned<cudnnConvolutionDescriptor_t> conv_;
};

// Both round float32 sums once to the type; sums differ in their order.
double tolerance_of(DType type) {
  return type == DType::kFloat32 ? 1e-5 : 1.0 / 64;
}

double compare(Backend& backend, const Geometry& geometry, DType type) {
  const ConvGeometry& g = geometry.conv;
  const Shape images{geometry.images, g.in_h, g.in_w, g.in_c};
  const Shape results{geometry.images, g.out_h(), g.out_w(), g.out_c};
  const auto stream = backend.make_stream(0);
  const auto weights = random_values(g.weight_elements(), 1);
  const Tensor x = uploaded(backend, random_values(images.elements(), 2), images, type);
  const Tensor dy = uploaded(backend, random_values(results.elements(), 3), results, type);
  const Tensor w = uploaded(backend, weights, {g.weight_elements()}, DType::kFloat32);
  const Tensor narrow = uploaded(backend, weights, {g.weight_elements()}, type);
  Tensor packed;
  if (type != DType::kFloat32) {
    packed = backend.empty({backend.conv_packed_elements(g, false)}, type);
    backend.conv_pack(*stream, g, false, w, packed);
  }
  Tensor y = backend.empty(results, type), dx = backend.empty(images, type);
  Tensor dw = backend.empty({g.weight_elements()}), no_bias;
  backend.conv_forward(*stream, g, x, w, packed, no_bias, y);
  backend.conv_backward_data(*stream, g, dy, w, packed, false, dx);
  backend.conv_backward_weights(*stream, g, x, dy, false, dw, no_bias);
  stream->synchronize();

  Legacy legacy(backend, geometry, type);
  Tensor other_y = backend.empty(results, type), other_dx = backend.empty(images, type);
  Tensor other_dw = backend.empty({g.weight_elements()}, type);
  legacy.forward(x, narrow, other_y);
  legacy.backward_data(dy, narrow, other_dx);
  legacy.backward_weights(x, dy, other_dw);

  return std::max({distance(downloaded(y), downloaded(other_y)),
                   distance(downloaded(dx), downloaded(other_dx)),
                   distance(downloaded(dw), downloaded(other_dw))});
}

int run(const std::string& plugin) {
  const LoadedGpuLibrary loaded =
      plugin.empty() ? load_gpu_library() : load_gpu_library({plugin}, "");
  const VisibleGpus visible =
      loaded.library == nullptr ? VisibleGpus{{}, loaded.why_not} : loaded.library->visible_gpus();
  if (visible.gpus.empty()) {
    std::printf("SKIPPED: no GPU: %s\n", visible.why_none.c_str());
    return 77;
  }
  std::printf("LOCKSTEP_TEST_SEED=%llu\n", static_cast<unsigned long long>(cases::test_seed()));
  int agree = 0, wrong = 0;
  for (const GpuPrecision precision : {GpuPrecision::kFloat32, GpuPrecision::kBFloat16}) {
    const auto backend = loaded.library->make_backend({.precision = precision});
    const DType type = precision == GpuPrecision::kFloat32 ? DType::kFloat32 : DType::kBFloat16;
    for (const Geometry& geometry : geometries()) {
      const std::string name = fmt::format("{}, {}", geometry.name, name_of(type));
      try {
        const double off = compare(*backend, geometry, type);
        const bool right = off < tolerance_of(type);
        ++(right ? agree : wrong);
        std::printf("%s: %.1e apart%s\n", name.c_str(), off, right ? "" : ": WRONG");
      } catch (const NoAlgorithm& error) {
        std::printf("%s: not compared: %s\n", name.c_str(), error.what());
      }
    }
  }
  std::printf("%d of %zu convolutions agree, %d do not\n", agree, 2 * geometries().size(), wrong);
  return agree > 0 && wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lockstep

int main(int count, char** words) {
  try {
    return lockstep::run(count == 3 && std::strcmp(words[1], "--plugin") == 0 ? words[2] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "legacy_conv: %s\n", error.what());
    return 1;
  }
}
