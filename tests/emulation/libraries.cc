// NVIDIA's libraries, played by plain loops: products and convolutions summed in double and rounded
// once. EMULATED_ENGINE is added to the choice that they note for every question, and a question
// with the words of EMULATED_REFUSAL has no plan.
#include "kernels/cuda/libraries.h"

#include <cmath>
#include <cstdlib>
#include <numbers>
#include <vector>

#include "kernels/core/small_floats.h"
#include "tests/emulation/streams.h"

namespace lockstep::gpu {

namespace {

double element(const void* memory, DType type, std::int64_t index) {
  if (type == DType::kBFloat16)
    return from_bfloat16(static_cast<const std::uint16_t*>(memory)[index]);
  LOCKSTEP_CHECK(type == DType::kFloat32, "an element of {}", name_of(type));
  return static_cast<const float*>(memory)[index];
}

void store(void* memory, DType type, std::int64_t index, double value) {
  if (type == DType::kBFloat16)
    static_cast<std::uint16_t*>(memory)[index] = to_bfloat16(static_cast<float>(value));
  else
    static_cast<float*>(memory)[index] = static_cast<float>(value);
}

std::vector<double> matrix(const void* memory, DType type, bool transposed, std::int64_t rows,
                           std::int64_t columns) {
  std::vector<double> values(static_cast<std::size_t>(rows * columns));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c)
      values[static_cast<std::size_t>(r * columns + c)] =
          element(memory, type, transposed ? c * rows + r : r * columns + c);
  }
  return values;
}

double rounded(double value, DType type) {
  const auto single = static_cast<float>(value);
  return type == DType::kBFloat16 ? from_bfloat16(to_bfloat16(single)) : single;
}

double activated(ProductActivation activation, double x) {
  switch (activation) {
    case ProductActivation::kNone:
      return x;
    case ProductActivation::kRelu:
      return x > 0 || std::isnan(x) ? x : 0;
    case ProductActivation::kGeluTanh:
      return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }
  throw Error("unknown activation {} of a product", static_cast<int>(activation));
}

void multiply(const MatrixProduct& p, const void* a_memory, const void* b_memory, const float* bias,
              void* c) {
  const auto a = matrix(a_memory, p.operands, p.transposed_a, p.rows, p.inner);
  const auto b = matrix(b_memory, p.operands, p.transposed_b, p.inner, p.columns);
  std::vector<double> row(static_cast<std::size_t>(p.columns));
  for (std::int64_t r = 0; r < p.rows; ++r) {
    for (std::size_t j = 0; j < row.size(); ++j)
      row[j] = bias != nullptr ? rounded(bias[j], p.result) : 0.0;
    for (std::int64_t k = 0; k < p.inner; ++k) {
      const double factor = a[static_cast<std::size_t>(r * p.inner + k)];
      const double* const from = b.data() + k * p.columns;
      for (std::size_t j = 0; j < row.size(); ++j) row[j] += factor * from[j];
    }
    for (std::size_t j = 0; j < row.size(); ++j)
      store(c, p.result, r * p.columns + static_cast<std::int64_t>(j),
            activated(p.activation, row[j]));
  }
}

// visit(x's index, w's index, y's index) for every product that a convolution adds up.
template <typename Visit>
void for_products(const Convolution& c, const Visit& visit) {
  const ConvGeometry& g = c.geometry;
  const std::int64_t in = g.in_c / g.groups, out = g.out_c / g.groups;
  for (std::int64_t n = 0; n < c.images; ++n) {
    for (std::int64_t pixel = 0; pixel < g.out_h() * g.out_w(); ++pixel) {
      const std::int64_t top = pixel / g.out_w() * g.stride_h - g.pad_h;
      const std::int64_t left = pixel % g.out_w() * g.stride_w - g.pad_w;
      for (std::int64_t tap = 0; tap < g.kernel_h * g.kernel_w; ++tap) {
        const std::int64_t h = top + tap / g.kernel_w * g.dilation_h;
        const std::int64_t w = left + tap % g.kernel_w * g.dilation_w;
        if (h < 0 || h >= g.in_h || w < 0 || w >= g.in_w) continue;
        const std::int64_t x = ((n * g.in_h + h) * g.in_w + w) * g.in_c;
        const std::int64_t y = (n * g.out_h() * g.out_w() + pixel) * g.out_c;
        for (std::int64_t o = 0; o < g.out_c; ++o) {
          const std::int64_t weights = (o * g.kernel_h * g.kernel_w + tap) * in;
          for (std::int64_t i = 0; i < in; ++i) visit(x + o / out * in + i, weights + i, y + o);
        }
      }
    }
  }
}

void keep(const std::vector<double>& sums, DType type, void* memory) {
  for (std::size_t i = 0; i < sums.size(); ++i)
    store(memory, type, static_cast<std::int64_t>(i), sums[i]);
}

std::int64_t elements_of_x(const Convolution& c) {
  return c.images * c.geometry.in_h * c.geometry.in_w * c.geometry.in_c;
}
std::int64_t elements_of_y(const Convolution& c) {
  return c.images * c.geometry.out_h() * c.geometry.out_w() * c.geometry.out_c;
}
std::int64_t elements_of_w(const Convolution& c) {
  return c.geometry.weight_elements();
}
std::vector<double> values(const void* memory, DType type, std::int64_t count) {
  return matrix(memory, type, false, 1, count);
}

std::string text_of(const char* pass, const Convolution& c) {
  const ConvGeometry& g = c.geometry;
  return fmt::format("{} of {} x ({}, {}, {}), {}x{} to {} channels, stride {}x{}, {}", pass,
                     c.images, g.in_h, g.in_w, g.in_c, g.kernel_h, g.kernel_w, g.out_c, g.stride_h,
                     g.stride_w, name_of(c.type));
}

class LoopLibraries final : public Libraries {
 public:
  std::string versions() const override {
    return "loops in the libraries' place";
  }

  void multiply(CudaStream& stream, const MatrixProduct& product, const void* a, const void* b,
                const float* bias, void* c) override {
    LOCKSTEP_CHECK(product.rows > 0 && product.columns > 0 && product.inner > 0,
                   "a product of ({}, {}) and ({}, {})", product.rows, product.inner, product.inner,
                   product.columns);
    plan(fmt::format("product of ({}, {}) and ({}, {}), {}", product.rows, product.inner,
                     product.inner, product.columns, name_of(product.operands)));
    emulation::enqueue(stream.raw(), "multiply", [=] { gpu::multiply(product, a, b, bias, c); });
  }

  void conv_forward(CudaStream& stream, const Convolution& c, const void* x, const void* w,
                    const float* bias, void* y) override {
    plan(text_of("conv_forward", c));
    emulation::enqueue(stream.raw(), "conv_forward", [=] {
      std::vector<double> sums(static_cast<std::size_t>(elements_of_y(c)));
      for (std::size_t i = 0; i < sums.size(); ++i)
        sums[i] = bias != nullptr ? bias[i % static_cast<std::size_t>(c.geometry.out_c)] : 0.0;
      const auto in = values(x, c.type, elements_of_x(c)),
                 weights = values(w, c.type, elements_of_w(c));
      for_products(c, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
        sums[static_cast<std::size_t>(yi)] +=
            in[static_cast<std::size_t>(xi)] * weights[static_cast<std::size_t>(wi)];
      });
      keep(sums, c.type, y);
    });
  }

  void conv_backward_data(CudaStream& stream, const Convolution& c, const void* dy, const void* w,
                          void* dx) override {
    plan(text_of("conv_backward_data", c));
    emulation::enqueue(stream.raw(), "conv_backward_data", [=] {
      std::vector<double> sums(static_cast<std::size_t>(elements_of_x(c)));
      const auto slopes = values(dy, c.type, elements_of_y(c)),
                 weights = values(w, c.type, elements_of_w(c));
      for_products(c, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
        sums[static_cast<std::size_t>(xi)] +=
            slopes[static_cast<std::size_t>(yi)] * weights[static_cast<std::size_t>(wi)];
      });
      keep(sums, c.type, dx);
    });
  }

  void conv_backward_weights(CudaStream& stream, const Convolution& c, const void* x,
                             const void* dy, void* dw) override {
    plan(text_of("conv_backward_weights", c));
    emulation::enqueue(stream.raw(), "conv_backward_weights", [=] {
      std::vector<double> sums(static_cast<std::size_t>(elements_of_w(c)));
      const auto slopes = values(dy, c.type, elements_of_y(c)),
                 in = values(x, c.type, elements_of_x(c));
      for_products(c, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
        sums[static_cast<std::size_t>(wi)] +=
            slopes[static_cast<std::size_t>(yi)] * in[static_cast<std::size_t>(xi)];
      });
      keep(sums, c.type, dw);
    });
  }

 private:
  static std::string environment(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  }

  void plan(const std::string& question) {
    const std::string refused = environment("EMULATED_REFUSAL");
    if (!refused.empty() && question.find(refused) != std::string::npos)
      throw Error("the emulated libraries have no plan for {}", question);
    if (plans().choice(question).empty())
      plans().note(question, "engine 0" + environment("EMULATED_ENGINE"));
  }
};

}  // namespace

std::unique_ptr<Libraries> make_libraries(Float32Products) {
  return std::make_unique<LoopLibraries>();
}

}  // namespace lockstep::gpu
