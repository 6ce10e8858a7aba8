#include "kernels/cuda/cudnn_descriptor.h"

#include <utility>

#include "kernels/core/error.h"

namespace lockstep::gpu {

namespace {

// How many values an attribute has; of descriptors too.
std::int64_t count_of(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type) {
  std::int64_t count = 0;
  check_cudnn(cudnnBackendGetAttribute(descriptor, name, type, 0, &count, nullptr),
              "the size of an attribute");
  return count;
}

}  // namespace

void check_cudnn(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char text[1024] = {};
  cudnnGetLastErrorString(text, sizeof text);  // what a descriptor was refused for
  throw Error("cuDNN: {}: {}{}{}", what, cudnnGetErrorString(status), text[0] == 0 ? "" : ": ",
              text);
}

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  check_cudnn(cudnnBackendCreateDescriptor(type, &raw_), "a new descriptor");
}

CudnnDescriptor::~CudnnDescriptor() {
  if (raw_ != nullptr) cudnnBackendDestroyDescriptor(raw_);
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : raw_(std::exchange(other.raw_, nullptr)) {}

CudnnDescriptor& CudnnDescriptor::operator=(CudnnDescriptor&& other) noexcept {
  std::swap(raw_, other.raw_);
  return *this;
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                          std::int64_t count, const void* values) {
  check_cudnn(cudnnBackendSetAttribute(raw_, name, type, count, values), "an attribute");
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, std::int64_t value) {
  set(name, CUDNN_TYPE_INT64, 1, &value);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name,
                          std::initializer_list<std::int64_t> values) {
  set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.begin());
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, float value) {
  set(name, CUDNN_TYPE_FLOAT, 1, &value);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, bool value) {
  set(name, CUDNN_TYPE_BOOLEAN, 1, &value);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnDataType_t value) {
  set(name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value) {
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.raw_);
}

void CudnnDescriptor::finalize(const char* what) {
  check_cudnn(cudnnBackendFinalize(raw_), what);
}

std::int64_t CudnnDescriptor::get_int64(cudnnBackendAttributeName_t name) const {
  std::int64_t value = 0, count = 0;
  check_cudnn(cudnnBackendGetAttribute(raw_, name, CUDNN_TYPE_INT64, 1, &count, &value),
              "a number of a descriptor");
  return value;
}

std::string CudnnDescriptor::get_text(cudnnBackendAttributeName_t name) const {
  std::string text(static_cast<std::size_t>(count_of(raw_, name, CUDNN_TYPE_CHAR)), '\0');
  std::int64_t count = 0;
  check_cudnn(
      cudnnBackendGetAttribute(raw_, name, CUDNN_TYPE_CHAR, std::ssize(text), &count, text.data()),
      "a text of a descriptor");
  text.resize(text.find('\0') == std::string::npos ? text.size() : text.find('\0'));
  return text;
}

std::vector<CudnnDescriptor> CudnnDescriptor::get_descriptors(
    cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type) const {
  std::vector<CudnnDescriptor> result;
  std::vector<cudnnBackendDescriptor_t> raw;
  const std::int64_t count = count_of(raw_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR);
  for (std::int64_t i = 0; i < count; ++i) raw.push_back(result.emplace_back(type).raw());
  std::int64_t given = 0;
  if (count > 0)
    check_cudnn(cudnnBackendGetAttribute(raw_, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &given,
                                         raw.data()),
                "the parts of a descriptor");
  result.erase(result.begin() + given, result.end());
  return result;
}

std::vector<cudnnBackendNumericalNote_t> CudnnDescriptor::get_notes(
    cudnnBackendAttributeName_t name) const {
  std::vector<cudnnBackendNumericalNote_t> notes(CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  std::int64_t count = 0;
  check_cudnn(cudnnBackendGetAttribute(raw_, name, CUDNN_TYPE_NUMERICAL_NOTE, std::ssize(notes),
                                       &count, notes.data()),
              "an engine's notes");
  notes.resize(static_cast<std::size_t>(count));
  return notes;
}

}  // namespace lockstep::gpu
