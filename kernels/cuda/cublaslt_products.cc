#include "kernels/cuda/cublaslt_products.h"

#include <algorithm>
#include <bit>
#include <sstream>

#include "kernels/cuda/channel_bias.h"

namespace lockstep::gpu {

namespace {

constexpr std::size_t kWorkspaceLimit = std::size_t{32} << 20;  // NVIDIA's advice for sm_90

void check_cublas(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error("cuBLASLt: {}: {}", what, cublaslt().cublasLtGetStatusString(status));
}

cudaDataType_t cuda_type(DType type) {
  LOCKSTEP_CHECK(type == DType::kFloat32 || type == DType::kBFloat16, "a matrix of {}",
                 name_of(type));
  return type == DType::kFloat32 ? CUDA_R_32F : CUDA_R_16BF;
}

// The largest power of two, up to 16, that divides the address.
unsigned alignment_of(const void* memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return 1u << std::min(4, std::countr_zero(address));
}

std::string text_of(const MatrixProduct& p) {
  std::string text =
      fmt::format("({}, {}){} · ({}, {}){}, {} to {}", p.rows, p.inner,
                  p.transposed_a ? " transposed" : "", p.inner, p.columns,
                  p.transposed_b ? " transposed" : "", name_of(p.operands), name_of(p.result));
  if (p.activation == ProductActivation::kRelu) text += ", relu";
  if (p.activation == ProductActivation::kGeluTanh) text += ", gelu_tanh";
  return text;
}

// A descriptor of cuBLASLt's with the function that ends it.
template <typename Handle>
class Descriptor {
 public:
  using Destroy = cublasStatus_t (*)(Handle);
  Descriptor(Handle raw, Destroy destroy) : raw_(raw), destroy_(destroy) {}
  ~Descriptor() { destroy_(raw_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Handle raw() const { return raw_; }

 private:
  Handle raw_;
  Destroy destroy_;
};

// cuBLASLt's matrices run down their columns: a row-major matrix is its transpose to it.
cublasLtMatrixLayout_t layout(DType type, std::int64_t rows, std::int64_t columns) {
  cublasLtMatrixLayout_t raw = nullptr;
  check_cublas(cublaslt().cublasLtMatrixLayoutCreate(&raw, cuda_type(type),
                                                     static_cast<std::uint64_t>(columns),
                                                     static_cast<std::uint64_t>(rows), columns),
               "a matrix");
  return raw;
}

cublasLtEpilogue_t epilogue_of(ProductActivation activation, bool bias) {
  switch (activation) {
    case ProductActivation::kNone:
      return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    case ProductActivation::kRelu:
      return bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    case ProductActivation::kGeluTanh:
      return bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
  }
  throw Error("unknown activation {} of a product", static_cast<int>(activation));
}

cublasComputeType_t compute_type(const MatrixProduct& p, Float32Products products) {
  const bool tf32 = p.operands == DType::kFloat32 && products == Float32Products::kTf32;
  return tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

cublasLtMatmulDesc_t operation(const MatrixProduct& p, Float32Products products, bool bias) {
  cublasLtMatmulDesc_t raw = nullptr;
  check_cublas(cublaslt().cublasLtMatmulDescCreate(&raw, compute_type(p, products), CUDA_R_32F),
               "a product");
  const auto set = [&](cublasLtMatmulDescAttributes_t name, const auto& value) {
    check_cublas(cublaslt().cublasLtMatmulDescSetAttribute(raw, name, &value, sizeof value),
                 "an attribute of a product");
  };
  // cᵀ = bᵀ · aᵀ, so b comes first.
  set(CUBLASLT_MATMUL_DESC_TRANSA, p.transposed_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, p.transposed_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(p.activation, bias));
  return raw;
}

// What makes one algorithm another, beside its number; all four bytes or fewer, unset bytes zero.
constexpr std::pair<cublasLtMatmulAlgoConfigAttributes_t, std::size_t> kSettings[] = {
    {CUBLASLT_ALGO_CONFIG_TILE_ID, 4},          {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4},
    {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4}, {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4},
    {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4},    {CUBLASLT_ALGO_CONFIG_STAGES_ID, 4},
    {CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2},   {CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2}};

std::uint32_t setting(const cublasLtMatmulAlgo_t& algorithm,
                      cublasLtMatmulAlgoConfigAttributes_t name, std::size_t bytes) {
  std::uint32_t value = 0;
  std::size_t written = 0;
  check_cublas(
      cublaslt().cublasLtMatmulAlgoConfigGetAttribute(&algorithm, name, &value, bytes, &written),
      "a setting of an algorithm");
  return value;
}

// "algorithm 66, settings 1=20 2=1 ..."
std::string algorithm_text(const cublasLtMatmulAlgo_t& algorithm) {
  std::string text =
      fmt::format("algorithm {}, settings", setting(algorithm, CUBLASLT_ALGO_CONFIG_ID, 4));
  for (const auto& [name, bytes] : kSettings)
    text += fmt::format(" {}={}", static_cast<int>(name), setting(algorithm, name, bytes));
  return text;
}

cublasLtMatmulAlgo_t algorithm_of(cublasLtHandle_t handle, const MatrixProduct& p,
                                  Float32Products products, const std::string& text) {
  std::istringstream words(text);
  std::string word;
  int number = -1;
  words >> word >> number >> word >> word;  // "algorithm", number, ",", "settings"
  cublasLtMatmulAlgo_t algorithm{};
  check_cublas(cublaslt().cublasLtMatmulAlgoInit(handle, compute_type(p, products), CUDA_R_32F,
                                                 cuda_type(p.operands), cuda_type(p.operands),
                                                 cuda_type(p.result), cuda_type(p.result), number,
                                                 &algorithm),
               "an algorithm of an earlier run");
  for (const auto& [name, bytes] : kSettings) {
    int key = -1;
    char equals = 0;
    std::uint32_t value = 0;
    if (!(words >> key >> equals >> value) || key != static_cast<int>(name))
      throw Error("\"{}\" names no algorithm of cuBLASLt", text);
    check_cublas(cublaslt().cublasLtMatmulAlgoConfigSetAttribute(&algorithm, name, &value, bytes),
                 "a setting of an algorithm");
  }
  return algorithm;
}

}  // namespace

class CublasLtProduct {
 public:
  CublasLtProduct(cublasLtHandle_t handle, const MatrixProduct& p, Float32Products products,
                  bool bias, unsigned alignment, const std::string& saved)
      : operation_(operation(p, products, bias), cublaslt().cublasLtMatmulDescDestroy),
        a_(p.transposed_a ? layout(p.operands, p.inner, p.rows)
                          : layout(p.operands, p.rows, p.inner),
           cublaslt().cublasLtMatrixLayoutDestroy),
        b_(p.transposed_b ? layout(p.operands, p.columns, p.inner)
                          : layout(p.operands, p.inner, p.columns),
           cublaslt().cublasLtMatrixLayoutDestroy),
        c_(layout(p.result, p.rows, p.columns), cublaslt().cublasLtMatrixLayoutDestroy) {
    choice_ = saved.empty() ? by_heuristic(handle, p, bias, alignment)
                            : by_choice(handle, p, products, bias, saved);
  }

  std::string choice() const { return algorithm_text(choice_.algo); }

  // By one thread at a time: the bias is an attribute of the operation.
  void run(cublasLtHandle_t handle, CudaStream& stream, const void* a, const void* b,
           const void* bias, void* c) {
    if (bias != nullptr)
      check_cublas(cublaslt().cublasLtMatmulDescSetAttribute(
                       operation_.raw(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias),
                   "a bias");
    const float one = 1, zero = 0;
    void* const workspace =
        choice_.workspaceSize > 0 ? stream.workspace(choice_.workspaceSize) : nullptr;
    if (stream.rehearses()) return;
    check_cublas(cublaslt().cublasLtMatmul(handle, operation_.raw(), &one, b, b_.raw(), a, a_.raw(),
                                           &zero, c, c_.raw(), c, c_.raw(), &choice_.algo,
                                           workspace, choice_.workspaceSize, stream.raw()),
                 "a product");
  }

 private:
  static std::string described(const MatrixProduct& p, bool bias) {
    return gpu::text_of(p) + (bias ? " with bias" : "");
  }

  cublasLtMatmulHeuristicResult_t by_heuristic(cublasLtHandle_t handle, const MatrixProduct& p,
                                               bool bias, unsigned alignment) const {
    cublasLtMatmulPreference_t raw = nullptr;
    check_cublas(cublaslt().cublasLtMatmulPreferenceCreate(&raw), "a preference");
    const Descriptor preference(raw, cublaslt().cublasLtMatmulPreferenceDestroy);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
      check_cublas(cublaslt().cublasLtMatmulPreferenceSetAttribute(raw, name, &value, sizeof value),
                   "an attribute of a preference");
    };
    // Beside one pass, which is always allowed: parts in a workspace, joined in one order.
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceLimit);
    for (const auto name :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      prefer(name, std::uint32_t{alignment});
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    const cublasStatus_t status = cublaslt().cublasLtMatmulAlgoGetHeuristic(
        handle, operation_.raw(), b_.raw(), a_.raw(), c_.raw(), c_.raw(), preference.raw(), 1,
        &result, &found);
    if (status != CUBLAS_STATUS_SUCCESS || found == 0 || result.state != CUBLAS_STATUS_SUCCESS)
      throw Error("cuBLASLt has no algorithm for {}: {}", described(p, bias),
                  cublaslt().cublasLtGetStatusString(status));
    return result;
  }

  cublasLtMatmulHeuristicResult_t by_choice(cublasLtHandle_t handle, const MatrixProduct& p,
                                            Float32Products products, bool bias,
                                            const std::string& saved) const {
    cublasLtMatmulHeuristicResult_t result{};
    const cublasLtMatmulAlgo_t algorithm = algorithm_of(handle, p, products, saved);
    const cublasStatus_t status = cublaslt().cublasLtMatmulAlgoCheck(
        handle, operation_.raw(), b_.raw(), a_.raw(), c_.raw(), c_.raw(), &algorithm, &result);
    if (status != CUBLAS_STATUS_SUCCESS || result.workspaceSize > kWorkspaceLimit)
      throw Error("cuBLASLt cannot take the algorithm that {} had before, {}: {}",
                  described(p, bias), saved, cublaslt().cublasLtGetStatusString(status));
    result.algo = algorithm;  // which the check leaves alone
    return result;
  }

  Descriptor<cublasLtMatmulDesc_t> operation_;
  Descriptor<cublasLtMatrixLayout_t> a_, b_, c_;
  cublasLtMatmulHeuristicResult_t choice_{};
};

CublasLtProducts::CublasLtProducts(Float32Products products, PlanBook& book)
    : products_(products), book_(book) {
  check_cublas(cublaslt().cublasLtCreate(&handle_), "a handle");
}

CublasLtProducts::~CublasLtProducts() {
  plans_.clear();
  cublaslt().cublasLtDestroy(handle_);
}

CublasLtProduct& CublasLtProducts::planned(const Question& question) {
  std::unique_ptr<CublasLtProduct>& plan = plans_[question];
  if (plan) return *plan;
  const std::string text = fmt::format(
      "cuBLASLt: {}{}{}, at {} bytes", text_of(question.product), question.bias ? " + bias" : "",
      products_ == Float32Products::kTf32 ? " as tf32" : "", question.alignment);
  plan = std::make_unique<CublasLtProduct>(handle_, question.product, products_, question.bias,
                                           question.alignment, book_.choice(text));
  book_.note(text, plan->choice());
  return *plan;
}

void CublasLtProducts::multiply(CudaStream& stream, const MatrixProduct& product, const void* a,
                                const void* b, const float* bias, void* c) {
  // In a rehearsal, too, the plan is made and its workspace taken.
  const void* added = bias;  // which the epilogue wants in the result's type
  std::shared_ptr<std::byte> narrow;
  if (bias != nullptr && product.result == DType::kBFloat16) {
    narrow = stream.second_workspace(static_cast<std::size_t>(product.columns) *
                                     size_of(product.result));
    round_channel_bias(stream.raw(), product.columns, bias, narrow.get());
    added = narrow.get();
  }
  Question question{product, added != nullptr,
                    std::min({alignment_of(a), alignment_of(b), alignment_of(c)})};
  if (added != nullptr) question.alignment = std::min(question.alignment, alignment_of(added));
  const std::lock_guard lock(mutex_);
  planned(question).run(handle_, stream, a, b, added, c);
}

}  // namespace lockstep::gpu
