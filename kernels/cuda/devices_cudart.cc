#include <cuda_runtime_api.h>
#include <cudnn_graph.h>

#include <cstdlib>
#include <fstream>

#include "kernels/cuda/cublaslt_api.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/devices.h"

namespace lockstep::gpu {

namespace {

std::string cuda_version(int number) {  // 13000 is CUDA 13.0
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

std::string three_parts(std::size_t number) {  // 91900 is 9.19.0
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

// "580.65.06"; empty where the kernel has no such module, or hides it.
std::string driver_release() {
  std::ifstream file("/sys/module/nvidia/version");
  std::string release;
  file >> release;
  return release;
}

std::string driver_text(int version) {
  const std::string release = driver_release();
  if (version == 0) return release.empty() ? "of an unknown version" : release;
  return fmt::format("{}{}for CUDA {}", release, release.empty() ? "" : ", ",
                     cuda_version(version));
}

std::string why_none(cudaError_t code) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (code == cudaErrorInsufficientDriver && driver == 0)
    return "no NVIDIA driver is installed here (libcuda.so.1 was not found)";
  if (code == cudaErrorInsufficientDriver)
    return fmt::format(
        "the NVIDIA driver is too old: it is {}, and this build needs one for CUDA {}",
        driver_text(driver), cuda_version(runtime));
  if (code != cudaSuccess && code != cudaErrorNoDevice)
    return fmt::format("the NVIDIA driver ({}) refuses: {}", driver_text(driver), text_of(code));
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible != nullptr
             ? fmt::format("no GPU is visible to this process: CUDA_VISIBLE_DEVICES is \"{}\"",
                           visible)
             : fmt::format("the NVIDIA driver ({}) finds no GPU", driver_text(driver));
}

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

GpuInfo describe(int device, int count) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device), "the properties of GPU {}", device);
  GpuInfo info;
  info.device = device;
  info.name = properties.name;
  info.uuid = uuid_text(properties.uuid);
  info.major = properties.major;
  info.minor = properties.minor;
  info.pci_address = fmt::format("{:04x}:{:02x}:{:02x}.0", properties.pciDomainID,
                                 properties.pciBusID, properties.pciDeviceID);
  info.memory_bytes = properties.totalGlobalMem;
  for (int peer = 0; peer < count; ++peer) {
    int can = 0;
    if (peer != device)
      check_cuda(cudaDeviceCanAccessPeer(&can, device, peer), "whether GPU {} reaches GPU {}",
                 device, peer);
    if (can != 0) info.peers.push_back(peer);
  }
  return info;
}

}  // namespace

VisibleGpus visible_gpus() {
  int count = 0;  // is left as it is where there is no driver
  const cudaError_t code = cudaGetDeviceCount(&count);
  VisibleGpus result;
  if (code != cudaSuccess || count == 0) {
    cudaGetLastError();  // or a later call would be told of it
    result.why_none = why_none(code);
    return result;
  }
  for (int device = 0; device < count; ++device) result.gpus.push_back(describe(device, count));
  return result;
}

std::vector<LibraryVersion> library_versions() {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  check_cuda(cudaRuntimeGetVersion(&runtime), "the version of the CUDA runtime");
  std::string products;
  try {
    products = three_parts(cublaslt().cublasLtGetVersion());
  } catch (const Error& error) {
    products = error.what();
  }
  return {{"NVIDIA driver", driver == 0 ? "none" : driver_text(driver)},
          {"CUDA runtime", cuda_version(runtime)},
          {"cuDNN", three_parts(cudnnGetVersion())},
          {"cuBLASLt", products}};
}

}  // namespace lockstep::gpu
