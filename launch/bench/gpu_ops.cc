#include "launch/bench/gpu_ops.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "io/dataset/dataset.h"
#include "kernels/cases/op_case.h"
#include "kernels/core/small_floats.h"

namespace lockstep {

namespace {

// Random numbers, the same run of them again and again: zeros would be faster than real data.
Tensor random_tensor(Backend& backend, const Shape& shape, DType type, double low = -2,
                     double high = 2) {
  constexpr std::int64_t kRun = 1 << 20;
  Tensor host = host_tensor(shape, type);
  const std::int64_t run = std::min(kRun, host.elements());
  cases::Random random(7, static_cast<std::uint64_t>(shape.elements()));
  for (std::int64_t i = 0; i < run; ++i) {
    const auto value = static_cast<float>(random.uniform(low, high));
    if (type == DType::kFloat32) host.data<float>()[i] = value;
    if (type == DType::kBFloat16)
      reinterpret_cast<std::uint16_t*>(host.raw())[i] = to_bfloat16(value);
    if (type == DType::kUInt8) host.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(value);
    if (type == DType::kInt64) host.data<std::int64_t>()[i] = static_cast<std::int64_t>(value);
  }
  std::byte* const bytes = host.raw();
  const std::size_t piece = static_cast<std::size_t>(run) * size_of(type);
  for (std::size_t at = piece; at < host.bytes(); at += piece)
    std::memcpy(bytes + at, bytes, std::min(piece, host.bytes() - at));
  Tensor there = backend.empty(shape, type);
  backend.copy(host, there);
  return there;
}

struct Sizes {
  std::int64_t images = 1, elements = 1;
  Shape picture, pooled;  // (N, 56, 56, C), and of half the height and width
};

// The tensors of one operation, by name, made when it is its turn.
class Tensors {
 public:
  Tensors(Backend& backend, DType type, const Sizes& of)
      : sizes(of), backend_(backend), type_(type) {}
  Tensor& operator[](const std::string& name) { return tensors_.at(name); }

  void random(const std::string& name, const Shape& shape) {
    tensors_[name] = random_tensor(backend_, shape, type_);
  }
  void values(const std::string& name, const Shape& shape, DType type, double low, double high) {
    tensors_[name] = random_tensor(backend_, shape, type, low, high);
  }
  void empty(const std::string& name, const Shape& shape) { empty(name, shape, type_); }
  void empty(const std::string& name, const Shape& shape, DType type) {
    tensors_[name] = backend_.empty(shape, type);
  }
  // Weights, and the copy of them that products read, where they read one.
  void weights(const ConvGeometry& g) {
    values("w", {g.weight_elements()}, DType::kFloat32, -2, 2);
    tensors_["packed"] = {};
    const std::int64_t elements = backend_.conv_packed_elements(g, false);
    if (elements == 0) return;
    empty("packed", {elements});
    const auto stream = backend_.make_stream(0);
    backend_.conv_pack(*stream, g, false, (*this)["w"], (*this)["packed"]);
    stream->synchronize();
  }
  void parameters(std::int64_t channels, const std::vector<std::string>& names) {
    for (const std::string& name : names) values(name, {channels}, DType::kFloat32, 0.5, 1.5);
  }

  const Sizes sizes;

 private:
  Backend& backend_;
  DType type_;
  std::map<std::string, Tensor> tensors_;
};

class List {
 public:
  List(Backend& backend, DType type, std::int64_t bytes)
      : backend_(backend),
        type_(type),
        size_(static_cast<double>(size_of(type))),
        sizes_(sizes_of(bytes)) {}

  std::vector<GpuOp> take() {
    elementwise();
    normalisation();
    pooling();
    rows();
    if (type_ == DType::kFloat32) optimizers();
    products();
    return std::move(ops_);
  }

 private:
  static constexpr std::int64_t kChannels = 256;
  static Sizes sizes_of(std::int64_t bytes) {
    const std::int64_t images = std::max<std::int64_t>(1, bytes / (56 * 56 * kChannels * 4));
    return {images,
            images * 56 * 56 * kChannels,
            {images, 56, 56, kChannels},
            {images, 28, 28, kChannels}};
  }
  using Make = std::function<void(Tensors&)>;
  using Run = std::function<void(Backend&, Stream&, Tensors&)>;

  // passes: how often all the elements of the picture are read or written, at least.
  void add(const std::string& name, double passes, const Make& make, const Run& run,
           double other_bytes = 0) {
    put(name, passes * size_ * static_cast<double>(sizes_.elements) + other_bytes, 0, make, run);
  }
  void put(const std::string& name, double bytes, double flops, const Make& make, const Run& run) {
    auto tensors = std::make_shared<std::unique_ptr<Tensors>>();
    Backend& backend = backend_;
    const DType type = type_;
    const Sizes sizes = sizes_;
    ops_.push_back({name + " " + std::string(name_of(type_)), bytes, flops,
                    [=, &backend] {
                      *tensors = std::make_unique<Tensors>(backend, type, sizes);
                      make(**tensors);
                    },
                    [=, &backend](Stream& stream) { run(backend, stream, **tensors); }});
  }

  void elementwise() {
    const auto x_y = [](Tensors& t) {
      t.random("x", t.sizes.picture), t.empty("y", t.sizes.picture);
    };
    const auto x_dy = [](Tensors& t) {
      t.random("x", t.sizes.picture), t.random("dy", t.sizes.picture),
          t.empty("y", t.sizes.picture);
    };
    add("add", 3, x_dy,
        [](Backend& b, Stream& s, Tensors& t) { b.add(s, t["x"], t["dy"], t["y"]); });
    for (const auto& [name, kind] : {std::pair{"relu", Activation::kRelu},
                                     {"gelu", Activation::kGelu},
                                     {"silu", Activation::kSilu}}) {
      add(std::string(name) + "_forward", 2, x_y, [kind = kind](Backend& b, Stream& s, Tensors& t) {
        b.activation_forward(s, kind, t["x"], t["y"]);
      });
      add(std::string(name) + "_backward", 3, x_dy,
          [kind = kind](Backend& b, Stream& s, Tensors& t) {
            b.activation_backward(s, kind, t["x"], t["dy"], t["y"]);
          });
    }
    add(
        "dropout", 2,
        [](Tensors& t) {
          t.random("x", t.sizes.picture), t.empty("y", t.sizes.picture);
          t.values("ids", {t.sizes.images}, DType::kInt64, 0, 1e6);
        },
        [](Backend& b, Stream& s, Tensors& t) { b.dropout(s, {}, t["ids"], t["x"], t["y"]); });
    put(
        "scale_shift_from_uint8", (1 + size_) * static_cast<double>(sizes_.elements), 0,
        [](Tensors& t) {
          t.values("x", t.sizes.picture, DType::kUInt8, 0, 256), t.empty("y", t.sizes.picture);
          t.parameters(kChannels, {"scale", "shift"});
        },
        [](Backend& b, Stream& s, Tensors& t) {
          b.scale_shift(s, t["x"], t["scale"], t["shift"], t["y"]);
        });
  }

  // Statistics have to be there before the first output is: x is read twice.
  void normalisation() {
    const double mask = static_cast<double>(sizes_.elements) / 8;
    const auto make = [](Tensors& t) {
      for (const char* name : {"x", "dy"}) t.random(name, t.sizes.picture);
      t.empty("y", t.sizes.picture);
      t.parameters(kChannels, {"gamma", "beta", "mean", "inv_std", "a", "b"});
      t.values("mask", {t.sizes.images, 56, 56, relu_mask_bytes(kChannels)}, DType::kUInt8, 0, 256);
    };
    add("batch_norm_forward", 3, make, [](Backend& b, Stream& s, Tensors& t) {
      b.batch_norm_forward(s, {}, t["x"], t["gamma"], t["beta"], t["y"], t["mean"], t["inv_std"],
                           t["a"], t["b"]);
    });
    add("batch_norm_backward", 5, make, [](Backend& b, Stream& s, Tensors& t) {
      b.batch_norm_backward(s, t["x"], t["dy"], t["gamma"], t["mean"], t["inv_std"], t["a"], t["b"],
                            t["y"]);
    });
    add(
        "batch_norm_relu_forward", 3, make,
        [](Backend& b, Stream& s, Tensors& t) {
          b.batch_norm_relu_forward(s, {}, t["x"], t["gamma"], t["beta"], {}, t["y"], t["mask"],
                                    t["mean"], t["inv_std"], t["a"], t["b"]);
        },
        mask);
    add(
        "batch_norm_add_relu_forward", 4, make,
        [](Backend& b, Stream& s, Tensors& t) {
          b.batch_norm_relu_forward(s, {}, t["x"], t["gamma"], t["beta"], t["dy"], t["y"],
                                    t["mask"], t["mean"], t["inv_std"], t["a"], t["b"]);
        },
        mask);
    add(
        "batch_norm_relu_backward", 5, make,
        [](Backend& b, Stream& s, Tensors& t) {
          Tensor none;
          b.batch_norm_relu_backward(s, t["x"], t["dy"], t["mask"], t["gamma"], t["mean"],
                                     t["inv_std"], t["a"], t["b"], t["y"], none);
        },
        2 * mask);
  }

  void pooling() {
    const PoolGeometry window{.in_h = 56, .in_w = 56, .channels = kChannels};
    const double places = static_cast<double>(sizes_.elements) / 4;  // a byte each
    const auto make = [](Tensors& t) {
      t.random("x", t.sizes.picture), t.random("y", t.sizes.pooled);
      t.values("argmax", t.sizes.pooled, DType::kUInt8, 0, 4);
    };
    add(
        "max_pool_forward", 1.25, make,
        [window](Backend& b, Stream& s, Tensors& t) {
          b.max_pool_forward(s, window, t["x"], t["y"], t["argmax"]);
        },
        places);
    add(
        "max_pool_backward", 1.25, make,
        [window](Backend& b, Stream& s, Tensors& t) {
          b.max_pool_backward(s, window, t["y"], t["argmax"], t["x"]);
        },
        places);
    add("avg_pool_forward", 1.25, make, [window](Backend& b, Stream& s, Tensors& t) {
      b.avg_pool_forward(s, window, t["x"], t["y"]);
    });
    add("avg_pool_backward", 1.25, make, [window](Backend& b, Stream& s, Tensors& t) {
      b.avg_pool_backward(s, window, t["y"], t["x"]);
    });
    const auto means = [](Tensors& t) {
      t.random("x", t.sizes.picture), t.random("y", {t.sizes.images, kChannels});
    };
    add("global_avg_pool_forward", 1, means,
        [](Backend& b, Stream& s, Tensors& t) { b.global_avg_pool_forward(s, t["x"], t["y"]); });
    add("global_avg_pool_backward", 1, means,
        [](Backend& b, Stream& s, Tensors& t) { b.global_avg_pool_backward(s, t["y"], t["x"]); });
  }

  void rows() {
    constexpr std::int64_t kColumns = 1024;
    const std::int64_t rows = std::max<std::int64_t>(1, sizes_.elements / kColumns);
    const Shape shape{rows, kColumns};
    const auto make = [=](Tensors& t) {
      t.random("x", shape), t.random("dy", shape), t.empty("y", shape);
      t.parameters(kColumns, {"gamma", "beta", "dgamma", "dbeta"});
      t.values("mean", {rows}, DType::kFloat32, -1, 1);
      t.values("inv_std", {rows}, DType::kFloat32, 0.5, 1.5);
    };
    add("layer_norm_forward", 2, make, [](Backend& b, Stream& s, Tensors& t) {
      b.layer_norm_forward(s, {}, t["x"], t["gamma"], t["beta"], t["y"], t["mean"], t["inv_std"]);
    });
    add("layer_norm_backward", 3, make, [](Backend& b, Stream& s, Tensors& t) {
      b.layer_norm_backward(s, t["x"], t["dy"], t["gamma"], t["mean"], t["inv_std"], t["dgamma"],
                            t["dbeta"], t["y"]);
    });
    add("softmax_forward", 2, make,
        [](Backend& b, Stream& s, Tensors& t) { b.softmax_forward(s, t["x"], t["y"]); });
    add("softmax_backward", 3, make,
        [](Backend& b, Stream& s, Tensors& t) { b.softmax_backward(s, t["x"], t["dy"], t["y"]); });
  }

  void optimizers() {
    const auto make = [](Tensors& t) {
      for (const char* name : {"gradient", "value", "m"}) t.random(name, {t.sizes.elements});
      t.values("v", {t.sizes.elements}, DType::kFloat32, 0, 1);
      t.empty("norms", {(t.sizes.elements + kBlockElements - 1) / kBlockElements}, DType::kFloat64);
    };
    add("sgd_momentum", 5, make, [](Backend& b, Stream& s, Tensors& t) {
      b.sgd(s, {.lr = 1e-6f, .momentum = 0.9f}, t["gradient"], t["value"], t["m"]);
    });
    add("adam", 7, make, [](Backend& b, Stream& s, Tensors& t) {
      b.adam(s, {.lr = 1e-6f, .step = 9}, t["gradient"], t["value"], t["m"], t["v"]);
    });
    add("squared_norms", 1, make,
        [](Backend& b, Stream& s, Tensors& t) { b.squared_norms(s, t["gradient"], t["norms"]); });
  }

  // Of ResNet-50 at 224 pixels, on as many images as fit the picture above.
  void products() {
    struct Layer {
      std::int64_t size, in, out, kernel, stride;
    };
    for (const Layer& layer : {Layer{56, 64, 64, 3, 1},
                               {56, 64, 256, 1, 1},
                               {56, 128, 128, 3, 2},
                               {14, 256, 256, 3, 1},
                               {14, 1024, 256, 1, 1},
                               {7, 512, 512, 3, 1}})
      convolution({.in_h = layer.size,
                   .in_w = layer.size,
                   .in_c = layer.in,
                   .out_c = layer.out,
                   .kernel_h = layer.kernel,
                   .kernel_w = layer.kernel,
                   .stride_h = layer.stride,
                   .stride_w = layer.stride,
                   .pad_h = layer.kernel / 2,
                   .pad_w = layer.kernel / 2});
  }

  void convolution(const ConvGeometry& g) {
    const std::int64_t images = std::min<std::int64_t>(sizes_.images, 256);
    const Shape x{images, g.in_h, g.in_w, g.in_c}, y{images, g.out_h(), g.out_w(), g.out_c};
    const std::string shape = fmt::format("{}x{} {}->{} on {}x{}/{}", g.kernel_h, g.kernel_w,
                                          g.in_c, g.out_c, g.in_h, g.in_w, g.stride_h);
    const double flops = 2.0 * static_cast<double>(y.elements()) *
                         static_cast<double>(g.kernel_h * g.kernel_w * g.in_c);
    const auto make = [=](Tensors& t) { t.random("x", x), t.random("y", y), t.weights(g); };
    put("conv_forward " + shape, 0, flops, make, [g](Backend& b, Stream& s, Tensors& t) {
      b.conv_forward(s, g, t["x"], t["w"], t["packed"], {}, t["y"]);
    });
    put("conv_backward_data " + shape, 0, flops, make, [g](Backend& b, Stream& s, Tensors& t) {
      b.conv_backward_data(s, g, t["y"], t["w"], t["packed"], false, t["x"]);
    });
    put("conv_backward_weights " + shape, 0, flops, make, [g](Backend& b, Stream& s, Tensors& t) {
      Tensor none;
      b.conv_backward_weights(s, g, t["x"], t["y"], false, t["w"], none);
    });
  }

  Backend& backend_;
  const DType type_;
  const double size_;  // bytes of an element
  const Sizes sizes_;
  std::vector<GpuOp> ops_;
};

}  // namespace

std::vector<GpuOp> gpu_ops(Backend& backend, Backend& bfloat16, std::int64_t bytes) {
  std::vector<GpuOp> ops = List(backend, DType::kFloat32, bytes).take();
  for (GpuOp& op : List(bfloat16, DType::kBFloat16, bytes * 2).take()) ops.push_back(std::move(op));
  return ops;
}

}  // namespace lockstep
