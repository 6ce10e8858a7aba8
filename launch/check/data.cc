// lockstep check data FILE.h5...|CONFIG.toml
#include <algorithm>
#include <filesystem>

#include "io/hdf5/hdf5.h"
#include "io/inspection/data_check.h"
#include "launch/check/check.h"
#include "runtime/config/augment_kinds.h"
#include "runtime/run/session.h"
#include "runtime/step/loss.h"

namespace lockstep {

namespace {

// What the config's training, validation and evaluation would read. The test part is looked at
// where it is there: training does without it.
DataCheckOptions check_of_config(const std::string& path) {
  const Config config = load_config(path);
  const DataConfig& data = config.data;
  const std::vector<std::string> files = data.file.expand();
  DataCheckOptions options;
  options.files = files;
  options.normalize = data.normalize;
  options.mean = data.mean;
  options.std = data.std;
  options.augment = read_augmentation(data);
  if (!compares_values(config.loss.kind))
    options.outputs = config.model.table.get<std::int64_t>("outputs", 0);
  const auto add = [&](const char* name, const std::string& group) {
    options.parts.push_back({name, data_source(data, group)});
  };
  add("train", data.train);
  const hdf5::File file = hdf5::File::open(files.front());
  if (!data.validation.empty()) add("validation", data.validation);
  if (file.has_group(data.test) && data.test != data.validation) add("test", data.test);
  return options;
}

DataCheckOptions check_of(const std::vector<std::string>& paths) {
  if (paths.size() == 1 && paths.front().ends_with(".toml")) return check_of_config(paths.front());
  return check_of_files(FileNames(paths).expand());
}

int check_data_of(const std::vector<std::string>& paths) {
  const std::vector<Finding> findings = check_data(check_of(paths));
  for (const Finding& finding : findings) fmt::print("{}\n", finding_line(finding));
  const auto errors = std::count_if(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.severity == Severity::kError;
  });
  fmt::print("{}: {} errors, {} warnings\n", FileNames(paths), errors,
             static_cast<std::ptrdiff_t>(findings.size()) - errors);
  return errors > 0 ? 1 : 0;
}

}  // namespace

void add_check_data(CLI::App* check, Action& action) {
  auto paths = std::make_shared<std::vector<std::string>>();
  CLI::App* command = check->add_subcommand(
      "data",
      "storage, labels, NaN, constant columns, scale, parts that do not fit, rows in two parts");
  command
      ->add_option("file", *paths,
                   "dataset FILE.h5 (several: as one), or the CONFIG.toml that names it")
      ->required();
  command->footer(
      "One line a finding: severity, place, what, cure. Exit code 1 if there is an error.\n"
      "Examples:\n"
      "  lockstep check data fashion-mnist.h5\n"
      "  lockstep check data part-*.h5\n"
      "  lockstep check data launch/configs/fashion-mnist.toml\n");
  command->callback([paths, &action] { action = [paths] { return check_data_of(*paths); }; });
}

}  // namespace lockstep
