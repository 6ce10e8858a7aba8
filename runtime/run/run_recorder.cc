#include "runtime/run/run_recorder.h"

#include <filesystem>

#include "runtime/communication/world.h"
#include "runtime/run/cpu_resources.h"
#include "runtime/run/version.h"

namespace lockstep {

RunRecorder::RunRecorder(const RunFolder& folder, Session& session,
                         const std::string& data_checksum, std::int64_t first_step)
    : folder_(folder) {
  if (std::filesystem::exists(folder_.record_file())) record_ = folder_.read_record();
  record_.name = session.config().run.name;
  record_.seed = session.config().run.seed;
  record_.shards = session.config().run.shards;
  record_.data_checksum = data_checksum;
  record_.parameters = session.team().params().count(ParamKind::kTrainable);
  RunPart part;
  part.version = kVersion;
  part.build = kBuild;
  part.mpi = World::library_version();
  part.processor = processor_name();
  part.isa = session.backend().isa();
  part.gpu = session.device().gpu_libraries;
  part.placement = session.communicator().description();
  for (int rank = 0; rank < session.communicator().size(); ++rank)
    part.threads.push_back(session.team().plan().workers(rank));
  part.start = utc_now();
  part.first_step = first_step;
  record_.parts.push_back(part);
  folder_.write_record(record_);
}

void RunRecorder::plans(const std::string& digest) {
  record_.parts.back().plans = digest;
  folder_.write_record(record_);
}

void RunRecorder::end(const End& end) {
  RunPart& part = record_.parts.back();
  part.end = utc_now();
  part.last_step = end.last_step;
  part.outcome = end.outcome;
  if (end.best_value) record_.best = {end.best_metric, *end.best_value, end.best_step};
  record_.final_metrics.clear();
  const auto record = [&](const std::string& split, const Evaluation& evaluation) {
    record_.final_metrics.emplace_back(split + ".loss", evaluation.loss);
    for (const auto& [name, value] : evaluation.metrics)
      record_.final_metrics.emplace_back(split + "." + name, value);
  };
  if (end.training.rows > 0) record("train", end.training);
  if (end.validation) record("validation", *end.validation);
  folder_.write_record(record_);
}

}  // namespace lockstep
