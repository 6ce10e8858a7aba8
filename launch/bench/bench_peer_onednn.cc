// oneDNN's direct convolutions and inner products on one thread, with images in N,H,W,C and in the
// layout that oneDNN prefers: the plug-in that bench_peer.cc loads.
#include <omp.h>

#include <dnnl.hpp>
#include <unordered_map>

#include "launch/bench/bench_peer.h"

namespace lockstep {
namespace {

using cases::PeerShape;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Descriptor = dnnl::memory::desc;

struct Layer {  // what all three directions share
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  Descriptor x, w, b, y;
  Dims stride, dilation, pad;
  bool inner_product = false;

  Layer(const PeerShape& shape, bool nhwc) {
    const ConvGeometry& g = shape.geometry;
    const auto descriptor = [](const Dims& dims, Tag tag) {
      return Descriptor(dims, dnnl::memory::data_type::f32, tag);
    };
    inner_product = g.in_h == 1 && g.in_w == 1;
    b = descriptor({g.out_c}, Tag::x);
    if (inner_product) {
      x = descriptor({shape.rows, g.in_c}, nhwc ? Tag::nc : Tag::any);
      w = descriptor({g.out_c, g.in_c}, Tag::any);
      y = descriptor({shape.rows, g.out_c}, nhwc ? Tag::nc : Tag::any);
      return;
    }
    const Tag image = nhwc ? Tag::nhwc : Tag::any;
    x = descriptor({shape.rows, g.in_c, g.in_h, g.in_w}, image);
    y = descriptor({shape.rows, g.out_c, g.out_h(), g.out_w()}, image);
    w = g.groups == 1
            ? descriptor({g.out_c, g.in_c, g.kernel_h, g.kernel_w}, Tag::any)
            : descriptor({g.groups, g.out_c / g.groups, g.in_c / g.groups, g.kernel_h, g.kernel_w},
                         Tag::any);
    stride = {g.stride_h, g.stride_w};
    dilation = {g.dilation_h - 1, g.dilation_w - 1};  // oneDNN counts the gaps
    pad = {g.pad_h, g.pad_w};
  }
};

dnnl::memory filled(const Layer& layer, const Descriptor& descriptor) {
  dnnl::memory memory(descriptor, layer.engine);
  auto* const values = static_cast<float*>(memory.get_data_handle());
  for (std::size_t i = 0; i < descriptor.get_size() / sizeof(float); ++i)
    values[i] = static_cast<float>(i % 17) - 8.0f;
  return memory;
}

constexpr auto kDirect = dnnl::algorithm::convolution_direct;
constexpr auto kTraining = dnnl::prop_kind::forward_training;

dnnl::convolution_forward::primitive_desc conv_forward(const Layer& l) {
  return {{kTraining, kDirect, l.x, l.w, l.b, l.y, l.stride, l.dilation, l.pad, l.pad}, l.engine};
}

dnnl::inner_product_forward::primitive_desc product_forward(const Layer& l) {
  return {{kTraining, l.x, l.w, l.b, l.y}, l.engine};
}

template <typename Primitive, typename Description>
std::function<void()> runner(const Layer& layer, const Description& description,
                             const std::vector<std::pair<int, Descriptor>>& arguments) {
  std::unordered_map<int, dnnl::memory> memories;
  for (const auto& [index, descriptor] : arguments)
    memories.emplace(index, filled(layer, descriptor));
  return [primitive = Primitive(description), stream = layer.stream, memories]() mutable {
    primitive.execute(stream, memories);
    stream.wait();
  };
}

template <typename Primitive, typename Description>
std::function<void()> forward(const Layer& l, const Description& d) {
  return runner<Primitive>(l, d,
                           {{DNNL_ARG_SRC, d.src_desc()},
                            {DNNL_ARG_WEIGHTS, d.weights_desc()},
                            {DNNL_ARG_BIAS, d.bias_desc()},
                            {DNNL_ARG_DST, d.dst_desc()}});
}

template <typename Primitive, typename Description>
std::function<void()> backward_data(const Layer& l, const Description& d) {
  return runner<Primitive>(l, d,
                           {{DNNL_ARG_DIFF_DST, d.diff_dst_desc()},
                            {DNNL_ARG_WEIGHTS, d.weights_desc()},
                            {DNNL_ARG_DIFF_SRC, d.diff_src_desc()}});
}

template <typename Primitive, typename Description>
std::function<void()> backward_weights(const Layer& l, const Description& d) {
  return runner<Primitive>(l, d,
                           {{DNNL_ARG_SRC, d.src_desc()},
                            {DNNL_ARG_DIFF_DST, d.diff_dst_desc()},
                            {DNNL_ARG_DIFF_WEIGHTS, d.diff_weights_desc()},
                            {DNNL_ARG_DIFF_BIAS, d.diff_bias_desc()}});
}

std::function<void()> make_run(const Layer& l, PeerShape::Kind kind) {
  using Kind = PeerShape::Kind;
  if (l.inner_product) {
    const auto hint = product_forward(l);
    if (kind == Kind::kForward) return forward<dnnl::inner_product_forward>(l, hint);
    if (kind == Kind::kBackwardData) {
      using Primitive = dnnl::inner_product_backward_data;
      const Primitive::primitive_desc d({l.x, l.w, l.y}, l.engine, hint);
      return backward_data<Primitive>(l, d);
    }
    using Primitive = dnnl::inner_product_backward_weights;
    const Primitive::primitive_desc d({l.x, l.w, l.b, l.y}, l.engine, hint);
    return backward_weights<Primitive>(l, d);
  }
  const auto hint = conv_forward(l);
  if (kind == Kind::kForward) return forward<dnnl::convolution_forward>(l, hint);
  if (kind == Kind::kBackwardData) {
    using Primitive = dnnl::convolution_backward_data;
    const Primitive::primitive_desc d({kDirect, l.x, l.w, l.y, l.stride, l.dilation, l.pad, l.pad},
                                      l.engine, hint);
    return backward_data<Primitive>(l, d);
  }
  using Primitive = dnnl::convolution_backward_weights;
  const Primitive::primitive_desc d(
      {kDirect, l.x, l.w, l.b, l.y, l.stride, l.dilation, l.pad, l.pad}, l.engine, hint);
  return backward_weights<Primitive>(l, d);
}

std::vector<PeerRun> peer_runs(const PeerShape& shape) {
  if (shape.kind == PeerShape::Kind::kNone) return {};
  omp_set_num_threads(1);  // a primitive remembers the number from its creation
  try {
    return {{"nhwc", make_run(Layer(shape, true), shape.kind)},
            {"best", make_run(Layer(shape, false), shape.kind)}};
  } catch (const dnnl::error& error) {
    throw Error("oneDNN: {}; `bench ops --no-peer` leaves it out", error.message);
  }
}

}  // namespace
}  // namespace lockstep

extern "C" void lockstep_bench_peer(lockstep::Peer& peer) {
  const dnnl::version_t& version = *dnnl::version();
  peer.name = fmt::format("oneDNN {}.{}.{}", version.major, version.minor, version.patch);
  peer.runs = lockstep::peer_runs;
}
