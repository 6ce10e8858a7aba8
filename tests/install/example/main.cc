// A layer and a network of one's own, in a program that is lockstep with one network more:
//   ./gained train CONFIG.toml model.network=gained
#include "launch/lockstep_main.h"
#include "models/layers/linear.h"

using namespace lockstep;

// y = gain · x, one learned gain a feature.
class Gain final : public UnaryLayer {
 public:
  Shape build(Build& build, const Shape& in) override {
    gain_ =
        build.param("gain", {.file_shape = in, .layout = {}, .initializer = constant_values(1)});
    y_ = build.buffer(in);
    dx_ = build.buffer(in);
    build.table.push_back({build.path(), "gain", in, in.elements(), in.elements()});
    return in;
  }
  Tensor forward(const Pass&, const Tensor& x) override {
    x_ = x;
    const std::int64_t features = gain_->elements;
    for (std::int64_t i = 0; i < x.elements(); ++i)
      y_.data<float>()[i] = x.data<float>()[i] * gain_->value.data<float>()[i % features];
    return y_.head(x.rows());
  }
  Tensor backward(const Pass& pass, const Tensor& dy) override {
    const std::int64_t features = gain_->elements;
    std::fill_n(gain_->grad.data<float>(), features, 0.0f);
    for (std::int64_t i = 0; i < dy.elements(); ++i) {
      gain_->grad.data<float>()[i % features] += dy.data<float>()[i] * x_.data<float>()[i];
      dx_.data<float>()[i] = dy.data<float>()[i] * gain_->value.data<float>()[i % features];
    }
    pass.ready(gain_);
    return dx_.head(dy.rows());
  }

 private:
  Param* gain_ = nullptr;
  Tensor x_, y_, dx_;
};

Network make_gained(const ModelTable& keys, const NetworkInput& input) {
  auto network = std::make_unique<Sequential>();
  add_vector_input(*network, input);
  network->add_named<Gain>("gain");
  network->add_named<Linear>("fc", input.outputs, keys.get<bool>("bias", true));
  return network;
}

int main(int argc, char** argv) {
  return lockstep_main(argc, argv,
                       {{"gained",
                         "a gain a feature, then a linear layer",
                         {{"bias", "true", "of the linear layer"}},
                         make_gained}});
}
