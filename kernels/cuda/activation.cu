// Activations with their gradients, which are functions of y, or of x where y does not tell (GELU
// and SiLU, which fall and rise again). A NaN passes through.
#include "kernels/cuda/checks.h"
#include "kernels/cuda/map.h"

namespace lockstep {

namespace gpu {
namespace {

// Each has forward(x), and backward(kept, dy).
struct Relu {
  __device__ float forward(float x) const { return x < 0.0f ? 0.0f : x; }
  // A NaN of y marks its gradient too: only y <= 0 stops it.
  __device__ float backward(float y, float dy) const { return y <= 0.0f ? 0.0f : dy; }
};

struct LeakyRelu {
  float slope;
  __device__ float forward(float x) const { return x < 0.0f ? x * slope : x; }
  // At 0 the slope is that of the negative side, as PyTorch's.
  __device__ float backward(float y, float dy) const { return y <= 0.0f ? dy * slope : dy; }
};

struct Elu {
  float alpha;
  __device__ float forward(float x) const { return x > 0.0f ? x : alpha * expm1f(x); }
  // alpha e^x = y + alpha
  __device__ float backward(float y, float dy) const { return y > 0.0f ? dy : dy * (y + alpha); }
};

__device__ __forceinline__ float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}

struct Sigmoid {
  __device__ float forward(float x) const { return sigmoid(x); }
  __device__ float backward(float y, float dy) const { return dy * (y * (1.0f - y)); }
};

struct Tanh {
  __device__ float forward(float x) const { return tanhf(x); }
  __device__ float backward(float y, float dy) const { return dy * fmaf(-y, y, 1.0f); }
};

struct Silu {
  __device__ float forward(float x) const { return x / (1.0f + expf(-x)); }
  // s (1 + x (1 - s)), s = sigmoid(x)
  __device__ float backward(float x, float dy) const {
    const float s = sigmoid(x);
    return dy * (s * fmaf(x, 1.0f - s, 1.0f));
  }
};

// Beyond ±16 both forms of GELU are x or 0, and squares and cubes of x may not overflow.
__device__ __forceinline__ float within_curve(float x) {
  if (x > 16.0f) return 16.0f;
  return x < -16.0f ? -16.0f : x;  // NaN stays
}

// 1 + erf(x / √2), twice the normal distribution
__device__ __forceinline__ float twice_normal(float x) {
  return 1.0f + erff(x * 0.70710678118654752f);
}

struct Gelu {
  __device__ float forward(float x) const { return 0.5f * x * twice_normal(x); }
  // Φ(x) + x φ(x), φ(x) = e^(-x²/2) / √(2π)
  __device__ float backward(float x, float dy) const {
    const float c = within_curve(x);
    const float bell = 0.39894228040143268f * expf(-0.5f * (c * c));
    return dy * fmaf(c, bell, 0.5f * twice_normal(x));
  }
};

// √(2/π) (x + 0.044715 x³) (Hendrycks and Gimpel 2016)
constexpr float kSteep = 0.79788456080286536f, kCubic = 0.044715f;
__device__ __forceinline__ float gelu_angle(float c) {
  return kSteep * (c * fmaf(kCubic, c * c, 1.0f));
}

struct GeluTanh {
  __device__ float forward(float x) const {
    return 0.5f * x * (1.0f + tanhf(gelu_angle(within_curve(x))));
  }
  // (1 + t) / 2 + x (1 - t²) / 2 · √(2/π) (1 + 3 · 0.044715 x²)
  __device__ float backward(float x, float dy) const {
    const float c = within_curve(x), t = tanhf(gelu_angle(c));
    const float angle_slope = kSteep * fmaf(3 * kCubic, c * c, 1.0f);
    const float bend = c * fmaf(-t, t, 1.0f) * angle_slope;
    return dy * (0.5f * (1.0f + t + bend));
  }
};

template <typename Function>
struct Forward {
  Function function;
  __device__ void operator()(float x, float& y) const { y = function.forward(x); }
};

template <typename Function>
struct Backward {
  Function function;
  __device__ void operator()(float kept, float dy, float& dx) const {
    dx = function.backward(kept, dy);
  }
};

template <typename Run>
void for_activation(const Activation& activation, const Run& run) {
  LOCKSTEP_CHECK(activation.parameter >= 0, "an activation's parameter is {}; at least 0 is needed",
                 activation.parameter);
  switch (activation.kind) {
    case Activation::kRelu:
      return run(Relu{});
    case Activation::kSigmoid:
      return run(Sigmoid{});
    case Activation::kTanh:
      return run(Tanh{});
    case Activation::kLeakyRelu:
      return run(LeakyRelu{activation.parameter});
    case Activation::kElu:
      return run(Elu{activation.parameter});
    case Activation::kGelu:
      return run(Gelu{});
    case Activation::kGeluTanh:
      return run(GeluTanh{});
    case Activation::kSilu:
      return run(Silu{});
  }
  throw Error("unknown activation {}", static_cast<int>(activation.kind));
}

}  // namespace
}  // namespace gpu

void CudaBackend::activation_forward(Stream& stream, Activation activation, const Tensor& x,
                                     Tensor& y) {
  gpu::check_like(y, x, "y");
  gpu::for_element_type(x, "x", [&]<typename T>(T) {
    gpu::for_activation(activation, [&]<typename Function>(Function function) {
      gpu::map_elements(gpu::raw(stream), "activation_forward", x.elements(),
                        gpu::Forward<Function>{function}, gpu::in(x.data<T>()),
                        gpu::out(y.data<T>()));
    });
  });
}

void CudaBackend::activation_backward(Stream& stream, Activation activation, const Tensor& kept,
                                      const Tensor& dy, Tensor& dx) {
  gpu::check_like(dy, kept, "dy");
  gpu::check_like(dx, kept, "dx");
  gpu::for_element_type(kept, "kept", [&]<typename T>(T) {
    gpu::for_activation(activation, [&]<typename Function>(Function function) {
      gpu::map_elements(gpu::raw(stream), "activation_backward", kept.elements(),
                        gpu::Backward<Function>{function}, gpu::in(kept.data<T>()),
                        gpu::in(dy.data<T>()), gpu::out(dx.data<T>()));
    });
  });
}

}  // namespace lockstep
