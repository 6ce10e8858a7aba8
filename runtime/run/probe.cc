#include "runtime/run/probe.h"

#include "io/base/checksum.h"

namespace lockstep {

namespace {

class Probe {
 public:
  explicit Probe(Backend& backend) : backend_(backend), stream_(backend.make_stream(0)) {}

  // Numbers in (-1, 1) that are the same everywhere.
  Tensor random(const Shape& shape) {
    const RandomKey key{0, RandomPurpose::kSynthetic, 0, static_cast<std::uint64_t>(next_++)};
    const Tensor host = backend_.empty_pinned(shape, DType::kFloat32);
    for (std::int64_t i = 0; i < shape.elements(); ++i)
      host.data<float>()[i] =
          2.0f * to_unit_float(key.block(0, static_cast<std::uint32_t>(i / 4))[i % 4]) - 1.0f;
    Tensor tensor = backend_.empty(shape, DType::kFloat32);
    backend_.copy(host, tensor);
    return tensor;
  }
  void add(const Tensor& result) {
    const Tensor host = result.to_host();
    checksum_.update(host.raw(), host.bytes());
  }
  std::string text() const { return checksum_text(checksum_.value()); }

  void product() {
    const LinearGeometry geometry{333, 37};
    const Tensor x = random({5, 333}), w = random({333 * 37}), bias = random({37});
    Tensor y = backend_.empty({5, 37}, DType::kFloat32);
    run([&] { backend_.linear_forward(*stream_, geometry, x, w, {}, bias, y); });
    add(y);
  }
  void convolution() {
    const ConvGeometry geometry{.in_h = 9,
                                .in_w = 11,
                                .in_c = 5,
                                .out_c = 19,
                                .kernel_h = 3,
                                .kernel_w = 3,
                                .pad_h = 1,
                                .pad_w = 1};
    const Tensor x = random({2, 9, 11, 5}), dy = random({2, 9, 11, 19});
    Tensor dw = backend_.empty({geometry.weight_elements()}, DType::kFloat32);
    Tensor dbias = backend_.empty({19}, DType::kFloat32);
    run([&] { backend_.conv_backward_weights(*stream_, geometry, x, dy, false, dw, dbias); });
    add(dw);
    add(dbias);
  }
  void exponential() {
    const Tensor x = random({7, 51});
    Tensor y = backend_.empty(x.shape(), DType::kFloat32);
    run([&] { backend_.softmax_forward(*stream_, x, y); });
    add(y);
  }
  void adam() {
    const Tensor gradient = random({777});
    Tensor value = random({777});
    Tensor m = backend_.zeros({777}, DType::kFloat32), v = backend_.zeros({777}, DType::kFloat32);
    const AdamOptions options{.lr = 1e-3f, .weight_decay = 1e-2f, .step = 3};
    run([&] { backend_.adam(*stream_, options, gradient, value, m, v); });
    add(value);
  }

 private:
  void run(const std::function<void()>& work) {
    stream_->submit(work);
    stream_->synchronize();
  }

  Backend& backend_;
  std::unique_ptr<Stream> stream_;
  Checksum checksum_;
  int next_ = 0;
};

}  // namespace

std::string arithmetic_probe(Backend& backend) {
  Probe probe(backend);
  probe.product();
  probe.convolution();
  probe.exponential();
  probe.adam();
  return probe.text();
}

}  // namespace lockstep
