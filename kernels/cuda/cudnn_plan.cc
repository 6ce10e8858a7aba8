#include "kernels/cuda/cudnn_plan.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/core/error.h"

namespace lockstep::gpu {

namespace {

std::string_view name_of(ConvPass pass) {
  switch (pass) {
    case ConvPass::kForward:
      return "forward";
    case ConvPass::kForwardBias:
      return "forward with bias";
    case ConvPass::kBackwardData:
      return "backward_data";
    case ConvPass::kBackwardWeights:
      return "backward_weights";
  }
  throw Error("unknown pass {}", static_cast<int>(pass));
}

// Tensors of a graph are known by numbers.
enum TensorId : std::int64_t { kX = 1, kW, kY, kBias, kSum };

cudnnDataType_t cudnn_type(DType type) {
  LOCKSTEP_CHECK(type == DType::kFloat32 || type == DType::kBFloat16, "a convolution of {}",
                 lockstep::name_of(type));
  return type == DType::kFloat32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;
}

// cuDNN counts axes as (N, C, H, W), wherever they lie: here the channels are innermost.
CudnnDescriptor image_tensor(TensorId id, cudnnDataType_t type, std::int64_t n, std::int64_t h,
                             std::int64_t w, std::int64_t c, bool is_virtual = false) {
  CudnnDescriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, std::int64_t{id});
  tensor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  tensor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, {n, c, h, w});
  tensor.set(CUDNN_ATTR_TENSOR_STRIDES, {h * w * c, 1, w * c, c});
  tensor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16});
  tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual);
  tensor.finalize("a tensor");
  return tensor;
}

CudnnDescriptor convolution_of(const ConvGeometry& g) {
  CudnnDescriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  convolution.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2});
  convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  convolution.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  convolution.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {g.pad_h, g.pad_w});
  convolution.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {g.pad_h, g.pad_w});
  convolution.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {g.dilation_h, g.dilation_w});
  convolution.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {g.stride_h, g.stride_w});
  convolution.finalize("a convolution");
  return convolution;
}

// The names of what an operation of one pass is given.
struct PassAttributes {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t alpha, beta, convolution, x, w, y;
};

PassAttributes attributes_of(ConvPass pass) {
  switch (pass) {
    case ConvPass::kForward:
    case ConvPass::kForwardBias:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
    case ConvPass::kBackwardData:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
    case ConvPass::kBackwardWeights:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
  }
  throw Error("unknown pass {}", static_cast<int>(pass));
}

CudnnDescriptor operation_of(ConvPass pass, const CudnnDescriptor& convolution,
                             const CudnnDescriptor& x, const CudnnDescriptor& w,
                             const CudnnDescriptor& y) {
  const PassAttributes names = attributes_of(pass);
  CudnnDescriptor operation(names.operation);
  operation.set(names.convolution, convolution);
  operation.set(names.x, x);
  operation.set(names.w, w);
  operation.set(names.y, y);
  operation.set(names.alpha, 1.0f);
  operation.set(names.beta, 0.0f);
  operation.finalize("a convolution's operation");
  return operation;
}

CudnnDescriptor bias_operation(const CudnnDescriptor& sum, const CudnnDescriptor& bias,
                               const CudnnDescriptor& y) {
  CudnnDescriptor add(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  add.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  add.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  add.finalize("an addition");
  CudnnDescriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, add);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, sum);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, bias);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation.finalize("the addition of a bias");
  return operation;
}

CudnnDescriptor graph_of(const ConvQuestion& question, cudnnHandle_t handle) {
  const Convolution& c = question.convolution;
  const ConvGeometry& g = c.geometry;
  const cudnnDataType_t type = cudnn_type(c.type);
  const bool with_bias = question.pass == ConvPass::kForwardBias;
  const CudnnDescriptor convolution = convolution_of(g);
  const CudnnDescriptor x = image_tensor(kX, type, c.images, g.in_h, g.in_w, g.in_c);
  const CudnnDescriptor w =
      image_tensor(kW, type, g.out_c, g.kernel_h, g.kernel_w, g.in_c / g.groups);
  const CudnnDescriptor y = image_tensor(kY, type, c.images, g.out_h(), g.out_w(), g.out_c);
  const CudnnDescriptor bias = image_tensor(kBias, CUDNN_DATA_FLOAT, 1, 1, 1, g.out_c);
  const CudnnDescriptor sum =
      image_tensor(kSum, CUDNN_DATA_FLOAT, c.images, g.out_h(), g.out_w(), g.out_c, true);

  std::vector<CudnnDescriptor> operations;
  operations.push_back(operation_of(question.pass, convolution, x, w, with_bias ? sum : y));
  if (with_bias) operations.push_back(bias_operation(sum, bias, y));
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const CudnnDescriptor& operation : operations) raw.push_back(operation.raw());
  CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::ssize(raw),
            raw.data());
  if (handle != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
  graph.finalize("a graph of a convolution");
  return graph;
}

// Why an engine with this note may not compute the question; empty where it may.
std::string_view objection(cudnnBackendNumericalNote_t note, const ConvQuestion& question) {
  const bool strict =
      question.convolution.type == DType::kFloat32 && question.products == Float32Products::kStrict;
  switch (note) {
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
      return "not deterministic";
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
      return "sums of reduced precision";
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      return strict ? "tensor cores round float32" : "";
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
      return strict ? "rounds its inputs" : "";
    case CUDNN_NUMERICAL_NOTE_FFT:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
      return question.convolution.geometry.direct ? "transforms, where sums are to be direct" : "";
    default:
      return "";
  }
}

std::string_view objection(const CudnnDescriptor& engine, const ConvQuestion& question) {
  for (const auto note : engine.get_notes(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE))
    if (const std::string_view why = objection(note, question); !why.empty()) return why;
  return "";
}

// Where a plan's JSON tells of the engine and the values of its knobs: the last of its parts. (The
// knobs of a heuristic's configuration cannot be asked for one by one.)
std::size_t engine_place(const std::string& json) {
  constexpr std::string_view kName = "\"engine\":";
  const std::size_t place = json.rfind(kName);
  LOCKSTEP_CHECK(place != std::string::npos, "cuDNN's plan names no engine: {}", json);
  return place + kName.size();
}

std::int64_t engine_number(const std::string& engine) {
  constexpr std::string_view kName = "\"engineId\":";
  const std::size_t place = engine.find(kName);
  if (place == std::string::npos) throw Error("no engine is named");
  return std::atoll(engine.c_str() + place + kName.size());
}

}  // namespace

std::string ConvQuestion::text() const {
  const ConvGeometry& g = convolution.geometry;
  std::string text =
      fmt::format("{} of {} x ({}, {}, {}), {}x{} to {} channels", name_of(pass),
                  convolution.images, g.in_h, g.in_w, g.in_c, g.kernel_h, g.kernel_w, g.out_c);
  if (g.stride_h != 1 || g.stride_w != 1)
    text += fmt::format(", stride {}x{}", g.stride_h, g.stride_w);
  if (g.pad_h != 0 || g.pad_w != 0) text += fmt::format(", padding {}x{}", g.pad_h, g.pad_w);
  if (g.dilation_h != 1 || g.dilation_w != 1)
    text += fmt::format(", dilation {}x{}", g.dilation_h, g.dilation_w);
  if (g.groups != 1) text += fmt::format(", {} groups", g.groups);
  return text + fmt::format(", {}{}{}", lockstep::name_of(convolution.type),
                            products == Float32Products::kTf32 ? " as tf32" : "",
                            g.direct ? ", direct" : "");
}

ConvQuestion::Key ConvQuestion::key() const {
  const ConvGeometry& g = convolution.geometry;
  return {static_cast<std::int64_t>(pass),
          static_cast<std::int64_t>(convolution.type),
          static_cast<std::int64_t>(products),
          convolution.images,
          g.in_h,
          g.in_w,
          g.in_c,
          g.out_c,
          g.kernel_h,
          g.kernel_w,
          g.stride_h,
          g.stride_w,
          g.pad_h,
          g.pad_w,
          g.dilation_h << 32 | g.dilation_w,
          g.groups,
          g.direct};
}

PlanTarget::PlanTarget(const std::string& device_properties)
    : device_(CudnnDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)) {
  device_->set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
               std::ssize(device_properties), device_properties.data());
  device_->finalize("the description of a GPU");
}

CudnnDescriptor PlanTarget::new_plan() const {
  CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  if (handle_ != nullptr)
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle_);
  if (device_) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *device_);
  return plan;
}

std::string ConvPlan::try_config(const ConvQuestion& question, const PlanTarget& target,
                                 const CudnnDescriptor& config) {
  const auto engines =
      config.get_descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  const std::int64_t index = engines.at(0).get_int64(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  if (const std::string_view why = objection(engines.at(0), question); !why.empty())
    return fmt::format("{} ({})", index, why);
  CudnnDescriptor plan = target.new_plan();
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  if (const cudnnStatus_t status = plan.try_finalize(); status != CUDNN_STATUS_SUCCESS)
    return fmt::format("{} ({})", index, cudnnGetErrorString(status));
  plan_ = std::move(plan);
  return "";
}

void ConvPlan::take_engine(const ConvQuestion& question, const PlanTarget& target,
                           const CudnnDescriptor& graph, const std::string& engine) {
  std::string wanted = json();
  wanted.replace(engine_place(wanted), std::string::npos, engine + "}");
  CudnnDescriptor plan = target.new_plan();
  try {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, std::ssize(wanted),
             wanted.data());
    plan.finalize("a plan of an earlier run");
    // The file may have been edited: the engine is held to what one of the heuristics' is.
    CudnnDescriptor itself(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    itself.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph);
    itself.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, engine_number(engine));
    if (target.device_) itself.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *target.device_);
    itself.finalize("an engine of an earlier run");
    if (const std::string_view why = objection(itself, question); !why.empty())
      throw Error("{}", why);
  } catch (const Error& error) {
    throw Error("cuDNN cannot take the plan that {} had before, {}: {}", question.text(), engine,
                error.what());
  }
  plan_ = std::move(plan);
}

ConvPlan::ConvPlan(const ConvQuestion& question, const PlanTarget& target,
                   const std::string& choice) {
  const CudnnDescriptor graph = graph_of(question, target.handle_);
  CudnnDescriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (target.device_) heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.device_);
  heuristic.finalize("the choice of an engine");

  std::string refused;
  for (const CudnnDescriptor& config : heuristic.get_descriptors(
           CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)) {
    const std::string why = try_config(question, target, config);
    if (why.empty()) break;
    refused += (refused.empty() ? "" : ", ") + why;
  }
  if (!plan_)
    throw Error("cuDNN has no plan for {}; engines: {}", question.text(),
                refused.empty() ? "none" : refused);
  const auto own_choice = [this] {
    const std::string text = json();
    return text.substr(engine_place(text), text.size() - engine_place(text) - 1);
  };
  if (!choice.empty() && own_choice() != choice) take_engine(question, target, graph, choice);
  choice_ = own_choice();
  workspace_bytes_ =
      static_cast<std::size_t>(plan_->get_int64(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
}

void ConvPlan::run(cudnnHandle_t handle, std::span<void* const> tensors, void* workspace) const {
  constexpr std::int64_t kIds[] = {kX, kW, kY, kBias};
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::ssize(tensors),
           tensors.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::ssize(tensors), kIds);
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  pack.finalize("the addresses of a convolution");
  check_cudnn(cudnnBackendExecute(handle, plan_->raw(), pack.raw()), "a convolution");
}

}  // namespace lockstep::gpu
