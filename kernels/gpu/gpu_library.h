// The CUDA plug-in as the program sees it. liblockstep_cuda.so holds all that knows of CUDA; the
// program loads it where it is wanted and speaks to it through this interface alone.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/core/memory_use.h"
#include "kernels/gpu/library_plan.h"

namespace lockstep {

struct GpuInfo {
  int device = 0;            // CUDA's number of it in this process
  std::string name;          // "NVIDIA H100 80GB HBM3"
  std::string uuid;          // "GPU-8f6c..."; of an instance of a divided GPU, that instance's own
  std::string pci_address;   // "0000:1b:00.0"
  int major = 0, minor = 0;  // compute capability: 9, 0
  std::size_t memory_bytes = 0;
  std::vector<int> peers;  // devices of this process whose memory it can address
};

struct VisibleGpus {
  std::vector<GpuInfo> gpus;  // in CUDA's order
  std::string why_none;       // not empty where gpus is
};

struct LibraryVersion {
  std::string name, version;  // "cuDNN", "9.14.0"
};

// kTf32: of products' operands alone. kBFloat16: of activations and what products read of weights.
enum class GpuPrecision { kFloat32, kTf32, kBFloat16 };

struct GpuOptions {
  int device = 0;
  GpuPrecision precision = GpuPrecision::kFloat32;
};

// What a back end has of its GPU's memory.
struct MemoryReport {
  std::vector<MemoryRow> rows;
  std::size_t bytes = 0;            // of the GPU's: of all rows
  std::size_t beyond_reserve = 0;   // of those: what did not fit into a reserve, or had none
  std::size_t free = 0, total = 0;  // of the whole GPU
};

// What a run is going to have, and what to try where that is too much.
struct MemoryPlan {
  std::vector<MemoryRow> rows;
  std::size_t bytes = 0;
  std::string advice;  // lines of its own
};

// The GPU's own clock, read where a stream's work has come to a point: the host's would add what
// the host does meanwhile.
class GpuClock {
 public:
  virtual ~GpuClock() = default;
  virtual void start(Stream& stream) = 0;  // the point from which seconds count; forgets the marks
  virtual int mark(Stream& stream) = 0;    // the number of a further point: 0, 1, ...
  virtual double seconds(int mark) = 0;    // from start to that point; waits until it is there
};

class GpuLibrary {
 public:
  virtual ~GpuLibrary() = default;
  // Of the driver and of all libraries that the plug-in uses. Needs no GPU.
  virtual std::vector<LibraryVersion> versions() const = 0;
  // What this process may use. Creates no context, so that it may be asked before a GPU is chosen.
  virtual VisibleGpus visible_gpus() const = 0;
  // On one of them, which from then on is this process's. Throws Error.
  virtual std::unique_ptr<Backend> make_backend(const GpuOptions& options) = 0;
  // Of a backend that it made: what its libraries chose so far, in the order of the questions; and
  // what they are to choose, said before they are asked.
  virtual std::vector<LibraryPlan> plans(Backend& backend) const = 0;
  virtual void take_plans(Backend& backend, const std::vector<LibraryPlan>& plans) const = 0;
  // A back end for the same GPU that has the same libraries asked, notes their choices with those
  // of `backend`, and counts memory, but has none and computes nothing: what it gives to the host
  // is zero.
  virtual std::unique_ptr<Backend> rehearsal(Backend& backend) const = 0;
  virtual MemoryReport memory(Backend& backend) const = 0;
  // Has so much memory for later allocations, in one piece. Throws Error where there is less.
  virtual void reserve(Backend& backend, const MemoryPlan& plan) const = 0;
  // For streams of a backend that it made, which is to be there already.
  virtual std::unique_ptr<GpuClock> make_clock() const = 0;
};

// What the plug-in's one C function returns. The place of `abi` never changes, and the rest is
// looked at only where `abi` is the reader's own stamp.
struct GpuPlugin {
  const char* abi;
  GpuLibrary& (*library)();
};
using GpuPluginEntry = const GpuPlugin* (*)();
inline constexpr const char* kGpuPluginEntry = "lockstep_cuda_plugin";
inline constexpr const char* kGpuPluginFile = "liblockstep_cuda.so";

// A stamp of the version and of every header through which the program and its plug-ins meet.
const char* gpu_plugin_abi();

struct LoadedGpuLibrary {
  GpuLibrary* library = nullptr;  // never unloaded
  std::string file;               // that was loaded, where there is one
  std::string why_not;            // one line, where library is null
};

LoadedGpuLibrary load_gpu_library();  // the one that comes with the program
// From the first of these places. `not_built`: why this build made no plug-in, or empty.
LoadedGpuLibrary load_gpu_library(const std::vector<std::string>& places,
                                  const std::string& not_built);

}  // namespace lockstep
