#include "runtime/run/device_choice.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "kernels/cpu/cpu_backend.h"
#include "runtime/communication/agreement.h"
#include "runtime/run/gpu_assignment.h"

namespace lockstep {

namespace {

// What a rank can say of its GPUs before one is chosen.
struct Sight {
  GpuLibrary* library = nullptr;
  VisibleGpus visible;
};

Sight look(const std::function<LoadedGpuLibrary()>& load) {
  Sight sight;
  try {
    const LoadedGpuLibrary loaded = load();
    sight.library = loaded.library;
    sight.visible.why_none = loaded.why_not;
    if (loaded.library != nullptr) sight.visible = loaded.library->visible_gpus();
  } catch (const Error& error) {
    sight.visible = {{}, error.what()};
  }
  return sight;
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "an unknown host";
}

// Sent to the other ranks: the host, why there is no GPU, UUIDs; a line each.
std::string packed(const VisibleGpus& visible) {
  std::string why = visible.why_none;
  std::ranges::replace(why, '\n', ' ');
  std::string text = host_name() + "\n" + why;
  for (const GpuInfo& gpu : visible.gpus) text += "\n" + gpu.uuid;
  return text;
}

// The same on all ranks: what each takes, or why not all of them have a GPU.
GpuAssignment assign(const Communicator& communicator, const std::vector<std::string>& sights,
                     bool share) {
  std::vector<RankView> views;
  std::vector<std::string> reasons;
  for (const std::string& sight : sights) {
    std::istringstream lines(sight);
    std::getline(lines, views.emplace_back().host);
    std::getline(lines, reasons.emplace_back());
    for (std::string uuid; std::getline(lines, uuid);) views.back().uuids.push_back(uuid);
  }
  const auto given = [](const std::string& reason) { return !reason.empty(); };
  const auto first = std::ranges::find_if(reasons, given);
  if (first == reasons.end()) return assign_gpus(views, share);
  GpuAssignment refused;
  const auto rank = first - reasons.begin();
  // Where all ranks say the same, nobody needs to know which of them said it.
  refused.why_not =
      std::ranges::count(reasons, *first) == std::ssize(reasons)
          ? *first
          : fmt::format("rank {} on {}: {}", communicator.job_rank(static_cast<int>(rank)),
                        views[static_cast<std::size_t>(rank)].host, *first);
  return refused;
}

// The driver is left out: it may change between two starts, and decides no bits.
std::string gpu_libraries(const GpuInfo& gpu, const GpuLibrary& library, const Backend& backend) {
  std::string text = fmt::format("{}, {}", gpu.name, backend.isa());
  for (const LibraryVersion& part : library.versions())
    if (part.name != "NVIDIA driver") text += fmt::format(", {} {}", part.name, part.version);
  return text;
}

GpuPrecision gpu_precision(Precision precision) {
  switch (precision) {
    case Precision::kFloat32:
      return GpuPrecision::kFloat32;
    case Precision::kTf32:
      return GpuPrecision::kTf32;
    case Precision::kBFloat16:
      return GpuPrecision::kBFloat16;
  }
  throw Error("unknown precision {}", static_cast<int>(precision));
}

std::unique_ptr<Backend> cpu_backend(const RunConfig& run, const std::string& no_gpu) {
  if (run.precision == Precision::kTf32)
    throw Error(
        "run.precision = \"tf32\" is a format of GPUs{}; set \"float32\" or \"bfloat16\" for a CPU",
        no_gpu);
  const Isa isa = parse_isa(std::string(name_of(run.isa)));
  return make_cpu_backend(
      isa, run.precision == Precision::kBFloat16 ? bfloat16_products(isa) : Products::kFloat32);
}

}  // namespace

DeviceChoice choose_device(const RunConfig& run, Communicator& communicator,
                           const std::function<LoadedGpuLibrary()>& load) {
  DeviceChoice choice;
  std::string why_not;
  if (run.device != DeviceKind::kCpu) {
    const Sight sight = look(load);
    const GpuAssignment gpus =
        assign(communicator, communicator.all_gather(packed(sight.visible)), run.share_gpu);
    why_not = gpus.why_not;
    if (why_not.empty()) {
      const int device = gpus.device[static_cast<std::size_t>(communicator.rank())];
      try {
        together(communicator, [&] {
          choice.backend = sight.library->make_backend({device, gpu_precision(run.precision)});
        });
        choice.gpu = true;
        choice.shared = gpus.shared;
        choice.library = sight.library;
        choice.gpu_libraries = gpu_libraries(sight.visible.gpus[static_cast<std::size_t>(device)],
                                             *sight.library, *choice.backend);
        choice.text = fmt::format("GPU ({}, {}{})", choice.backend->description(),
                                  name_of(run.precision), gpus.shared ? ", shared by ranks" : "");
        return choice;
      } catch (const AgreedError& error) {
        choice.backend.reset();
        why_not = error.what();
      }
    }
    if (run.device == DeviceKind::kCuda)
      throw AgreedError(fmt::format(
          "run.device = \"cuda\": {}. Set run.device = \"cpu\" or \"auto\" to compute on the CPU",
          why_not));
  }
  const std::string no_gpu = why_not.empty() ? "" : ", no GPU: " + why_not;
  together(communicator, [&] { choice.backend = cpu_backend(run, no_gpu); });
  choice.text = fmt::format("CPU ({}){}", choice.backend->description(), no_gpu);
  return choice;
}

DeviceChoice choose_device(const RunConfig& run, Communicator& communicator) {
  return choose_device(run, communicator, [] { return load_gpu_library(); });
}

}  // namespace lockstep
