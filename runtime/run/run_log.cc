#include "runtime/run/run_log.h"

#include <nlohmann/json.hpp>

namespace lockstep {

namespace {

using Json = nlohmann::ordered_json;

Json to_json(std::int64_t step, std::int64_t epoch, const std::string& split,
             const Evaluation& evaluation) {
  Json line{{"step", step}, {"epoch", epoch}, {"split", split}, {"loss", evaluation.loss}};
  for (const auto& [name, value] : evaluation.metrics) line[name] = value;
  return line;
}

MetricsLog open_log(const std::string& file, std::int64_t first_step) {
  MetricsLog::cut_back(file, first_step);
  return MetricsLog(file);
}

}  // namespace

RunLog::RunLog(const RunFolder& folder, const Config& config, std::int64_t first_step)
    : every_steps_(config.log.every_steps),
      metrics_(open_log(folder.metrics_file(), first_step)),
      timing_(open_log(folder.timing_file(), first_step)) {
  // The event of the next step is the first that this part of the run writes.
  if (config.log.tensorboard)
    tensorboard_.emplace(folder.path(), first_step > 0 ? first_step + 1 : 0);
}

void RunLog::begin(const Config& config, const Dataset& data, const Augmentation* augmentation,
                   const std::vector<std::string>& metrics) {
  if (!tensorboard_ || tensorboard_->resumed()) return;
  tensorboard_->hyper_parameters(config, metrics);
  tensorboard_->images(data, augmentation, config);
}

void RunLog::step(const StepReport& report, std::optional<double> gradient_norm) {
  if (every_steps_ == 0 || report.step % every_steps_ != 0) return;
  Json line = to_json(report.step, report.epoch, "batch", report.batch);
  line["lr"] = report.lr;
  if (gradient_norm) line["gradient_norm"] = *gradient_norm;
  metrics_.append(line);
  if (!tensorboard_) return;
  tensorboard_->evaluation("batch", report.step, report.batch);
  if (gradient_norm) tensorboard_->scalar("batch/gradient_norm", report.step, *gradient_norm);
}

void RunLog::epoch(const EpochReport& report, double lr) {
  Json line = to_json(report.step, report.epoch, "train", report.training);
  if (report.phase > 0) line["phase"] = report.phase;
  metrics_.append(with_parameters(line, report.parameters));
  if (report.validation)
    metrics_.append(to_json(report.step, report.epoch, "validation", *report.validation));
  timing_.append(Json{{"step", report.step},
                      {"epoch", report.epoch},
                      {"seconds", report.seconds},
                      {"samples_per_second", report.samples_per_second}});
  if (!tensorboard_) return;
  tensorboard_->evaluation("train", report.step, report.training);
  if (report.validation) tensorboard_->evaluation("validation", report.step, *report.validation);
  tensorboard_->scalar("lr", report.step, lr);
  tensorboard_->scalar("samples_per_second", report.step, report.samples_per_second);
}

void RunLog::histograms(std::int64_t step, const ParamSet& params,
                        std::span<const float> gradient) {
  if (tensorboard_) tensorboard_->histograms(step, params, gradient);
}

void RunLog::finished() {
  if (tensorboard_) tensorboard_->finished();
}

}  // namespace lockstep
