#include "launch/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace lockstep {

namespace {

// mpirun gives its ranks a terminal of its own making wherever its output goes: then the output of
// mpirun counts, which is the parent of the ranks beside it.
bool shown_on_terminal() {
  if (isatty(STDOUT_FILENO) != 1) return false;
  if (std::getenv("OMPI_COMM_WORLD_RANK") == nullptr) return true;
  const std::string parent = fmt::format("/proc/{}/fd/1", getppid());
  const int file = ::open(parent.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (file < 0) return false;
  const bool terminal = isatty(file) == 1;
  ::close(file);
  return terminal;
}

// "42 s", "3:05 min", "2:10 h"
std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 100) return fmt::format("{} s", whole);
  if (whole < 6000) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

}  // namespace

std::string describe(const Evaluation& evaluation) {
  std::string text = fmt::format("loss {:.4f}", evaluation.loss);
  for (const auto& [name, value] : evaluation.metrics)
    text += fmt::format("  {} {:.4f}", name, value);
  return text;
}

namespace {

std::string describe(const ShownParameter& parameter) {
  const auto list = [](const std::vector<float>& values) {
    const std::string text = fmt::format("{:.6g}", fmt::join(values, ", "));
    return values.size() == 1 ? text : "[" + text + "]";
  };
  return fmt::format(
      "{} {} ({})", parameter.name, list(parameter.values),
      parameter.gradients.empty() ? "frozen" : "gradient " + list(parameter.gradients));
}

}  // namespace

Console::Console(const TrainingConfig& training)
    : live_(shown_on_terminal()), batch_(training.batch) {}

void Console::line(const std::string& text) {
  clear_live_line();
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Console::step(const StepReport& report) {
  if (!live_) return;
  const Clock::time_point now = Clock::now();
  if (first_step_ < 0) {  // the first step also warms caches up: rates count from its end
    first_step_ = report.step;
    start_ = now;
    return;
  }
  if (now - shown_ < std::chrono::milliseconds(100) && report.step < report.total_steps) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double steps_per_second = static_cast<double>(report.step - first_step_) / seconds;
  const double left = static_cast<double>(report.total_steps - report.step) / steps_per_second;
  fmt::print("\r\x1b[Kepoch {}/{}  step {}/{}  {}  {:.0f} samples/s  {} left", report.epoch,
             report.epochs, report.step, report.total_steps, describe(report.batch),
             steps_per_second * static_cast<double>(batch_), duration(left));
  std::fflush(stdout);
  live_line_shown_ = true;
}

void Console::epoch(const EpochReport& report) {
  std::string text = fmt::format("epoch {}/{}  step {}  {}", report.epoch, report.epochs,
                                 report.step, describe(report.training));
  if (report.validation) text += "  | validation " + describe(*report.validation);
  for (const ShownParameter& parameter : report.parameters) text += "  | " + describe(parameter);
  line(text +
       fmt::format("  | {:.1f} s, {:.0f} samples/s", report.seconds, report.samples_per_second));
}

void Console::finished(const TrainingOutcome& outcome) {
  if (outcome.interrupted)
    line(
        fmt::format("stopped after step {} as asked; the checkpoint is written. Go on with:\n"
                    "  lockstep train --resume {}",
                    outcome.step, outcome.folder));
  else
    summary(outcome);
}

void Console::summary(const TrainingOutcome& outcome) {
  if (outcome.training.rows > 0)
    line(fmt::format("last epoch: {}{}", describe(outcome.training),
                     outcome.validation ? "  | validation " + describe(*outcome.validation) : ""));
  if (outcome.best_value)
    line(fmt::format("best validation {}: {:.4f} after step {}", outcome.best_metric,
                     *outcome.best_value, outcome.best_step));
  line(
      fmt::format("run folder: {}\n"
                  "next: lockstep evaluate {}\n"
                  "      lockstep predict {} -o predictions.csv\n"
                  "      lockstep export {} weights.safetensors",
                  outcome.folder, outcome.folder, outcome.folder, outcome.folder));
}

void Console::clear_live_line() {
  if (live_line_shown_) fmt::print("\r\x1b[K");
  live_line_shown_ = false;
}

}  // namespace lockstep
