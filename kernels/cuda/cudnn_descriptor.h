// cuDNN's graph API is made of descriptors whose attributes are set one by one, then finalized.
// CudnnDescriptor owns one; every call throws Error with cuDNN's own text.
#pragma once

#include <cudnn_graph.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace lockstep::gpu {

// Throws where `status` is an error: "cuDNN: WHAT: CUDNN_STATUS_...: why".
void check_cudnn(cudnnStatus_t status, const char* what);

class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);
  ~CudnnDescriptor();
  CudnnDescriptor(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept;

  cudnnBackendDescriptor_t raw() const { return raw_; }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
           const void* values);
  void set(cudnnBackendAttributeName_t name, std::int64_t value);
  void set(cudnnBackendAttributeName_t name, std::initializer_list<std::int64_t> values);
  void set(cudnnBackendAttributeName_t name, float value);
  void set(cudnnBackendAttributeName_t name, bool value);
  void set(cudnnBackendAttributeName_t name, cudnnDataType_t value);
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value);
  void finalize(const char* what);
  cudnnStatus_t try_finalize() { return cudnnBackendFinalize(raw_); }

  std::int64_t get_int64(cudnnBackendAttributeName_t name) const;
  std::string get_text(cudnnBackendAttributeName_t name) const;
  // Into descriptors of that type, made for it.
  std::vector<CudnnDescriptor> get_descriptors(cudnnBackendAttributeName_t name,
                                               cudnnBackendDescriptorType_t type) const;
  std::vector<cudnnBackendNumericalNote_t> get_notes(cudnnBackendAttributeName_t name) const;

 private:
  cudnnBackendDescriptor_t raw_ = nullptr;
};

}  // namespace lockstep::gpu
