// Each operation is queued again and again between two points at which the GPU notes its own clock:
// long enough that the time of the launches, which run ahead, does not show.
#include "launch/bench/bench_gpu_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/base/file.h"
#include "kernels/gpu/gpu_library.h"
#include "launch/bench/gpu_ops.h"

namespace lockstep {

namespace {

double seconds_of(GpuClock& clock, Stream& stream, const std::function<void(Stream&)>& run,
                  std::int64_t times) {
  stream.synchronize();  // what is wrong in an operation is thrown here
  clock.start(stream);
  for (std::int64_t i = 0; i < times; ++i) run(stream);
  return clock.seconds(clock.mark(stream)) / static_cast<double>(times);
}

struct Timing {
  double median = 0, quartile_distance = 0;  // seconds
};

Timing time_of(GpuClock& clock, Stream& stream, const std::function<void(Stream&)>& run,
               const BenchGpuOpsOptions& options) {
  // Plans, workspaces, code that is loaded when it is first called.
  seconds_of(clock, stream, run, 1);
  const double one = seconds_of(clock, stream, run, 2);
  const auto times = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(options.sample_ms * 1e-3 / std::max(one, 1e-7)));
  std::vector<double> samples;
  for (int i = 0; i < options.repetitions; ++i)
    samples.push_back(seconds_of(clock, stream, run, times));
  stream.synchronize();
  std::ranges::sort(samples);
  const std::size_t n = samples.size();
  return {samples[n / 2], samples[n * 3 / 4] - samples[n / 4]};
}

// Bytes read and written a second by a copy from the GPU's memory to the GPU's memory.
double copy_rate(GpuClock& clock, Backend& backend, Stream& stream,
                 const BenchGpuOpsOptions& options) {
  const std::int64_t bytes = options.mib << 20;
  const Tensor from = backend.zeros({bytes}, DType::kUInt8);
  Tensor to = backend.empty({bytes}, DType::kUInt8);
  const Timing timing = time_of(
      clock, stream, [&](Stream& s) { backend.copy_async(s, from, to); }, options);
  return 2 * static_cast<double>(bytes) / timing.median;
}

}  // namespace

int bench_gpu_ops(const BenchGpuOpsOptions& options) {
  const LoadedGpuLibrary loaded = load_gpu_library();
  if (loaded.library == nullptr) throw Error("bench ops --device cuda: {}", loaded.why_not);
  if (const VisibleGpus visible = loaded.library->visible_gpus(); visible.gpus.empty())
    throw Error("bench ops --device cuda: no GPU: {}", visible.why_none);
  const auto backend = loaded.library->make_backend({});
  const auto narrow = loaded.library->make_backend({.precision = GpuPrecision::kBFloat16});
  const auto clock = loaded.library->make_clock();
  const auto stream = backend->make_stream(0);
  const double copy = copy_rate(*clock, *backend, *stream, options);
  fmt::print(
      "{}\ntimed by the GPU's clock; a device copy of {} MiB: {:.0f} GB/s read and written\n\n",
      backend->description(), options.mib, copy * 1e-9);
  nlohmann::ordered_json file{{"device", backend->description()},
                              {"mib", options.mib},
                              {"copy_gbytes", copy * 1e-9},
                              {"operations", nlohmann::ordered_json::array()}};
  bool found = false;
  for (GpuOp& op : gpu_ops(*backend, *narrow, options.mib << 20)) {
    if (op.name.find(options.filter) == std::string::npos) continue;
    found = true;
    op.prepare();
    const Timing timing = time_of(*clock, *stream, op.run, options);
    const double rate = (op.flops > 0 ? op.flops : op.bytes) / timing.median;
    nlohmann::ordered_json entry{{"operation", op.name},
                                 {"seconds", timing.median},
                                 {"quartile_distance", timing.quartile_distance}};
    std::string share;
    if (op.flops > 0) {
      share = fmt::format("{:8.1f} TFLOP/s", rate * 1e-12);
      entry["tflops"] = rate * 1e-12;
    } else {
      share = fmt::format("{:8.0f} GB/s, {:5.1f} % of a copy", rate * 1e-9, 100 * rate / copy);
      entry["gbytes"] = rate * 1e-9;
      entry["share_of_copy"] = rate / copy;
    }
    fmt::print("{:<52}{:>10.1f} us ±{:4.1f} %  {}\n", op.name, timing.median * 1e6,
               100 * timing.quartile_distance / timing.median, share);
    std::fflush(stdout);
    file["operations"].push_back(std::move(entry));
    op = {};  // its tensors, before the next one makes its own
  }
  if (!found)
    throw Error("bench ops --device cuda: no operation has \"{}\" in its name", options.filter);
  if (!options.json.empty()) write_text(options.json, file.dump(1) + "\n");
  return 0;
}

}  // namespace lockstep
