// What the commands of all kinds of `prepare` share: the common options, and running the kind.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "io/inspection/summary.h"
#include "io/prepare/prepare.h"
#include "launch/commands.h"
#include "launch/number_checks.h"

namespace lockstep {

struct PrepareArguments {
  PrepareOptions common;
  std::string validation, test;

  const PrepareOptions& resolved() {
    if (!validation.empty()) common.validation = Portion::parse(validation, "--validation");
    if (!test.empty()) common.test = Portion::parse(test, "--test");
    return common;
  }
};

template <typename Options>
struct KindArguments : PrepareArguments {
  Options kind;
};

// Adds one kind: its command, the common options, and what runs when it is chosen.
template <typename Options>
std::pair<CLI::App*, std::shared_ptr<KindArguments<Options>>> add_kind(
    CLI::App* prepare, const std::string& name, const std::string& help,
    void (*run)(const Options&, const PrepareOptions&), Action& action) {
  auto arguments = std::make_shared<KindArguments<Options>>();
  CLI::App* command = prepare->add_subcommand(name, help);
  command->add_option("-o,--output", arguments->common.output, "dataset file to write")->required();
  command->add_option("--validation", arguments->validation,
                      "rows for /validation: a fraction (0.1) or a count (5000)");
  command->add_option("--test", arguments->test, "rows for /test: a fraction or a count");
  command->add_option("--seed", arguments->common.seed, "of the split, and of random data")
      ->capture_default_str();
  DatasetWriteOptions& write = arguments->common.write;
  command->add_flag("--force", write.force, "replace an existing file");
  command
      ->add_option_function<std::vector<std::int64_t>>(
          "--chunk",
          [&write](const std::vector<std::int64_t>& sizes) {
            write.chunk_rows = sizes.front();
            write.chunk_sample.assign(sizes.begin() + 1, sizes.end());
          },
          "rows of x in an HDF5 chunk, and its sizes within a row where that is cut, too; 0: one "
          "piece")
      ->check(kNotNegative)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->option_text("ROWS[,SIZE...] [0]");
  command->add_option("--compress", write.compress, "deflate x at this level, 1 to 9; 0: not")
      ->check(CLI::Range(0, 9))
      ->capture_default_str();
  command->add_option("--max-memory", write.max_memory, "bytes that rows may take, as 512M")
      ->transform(CLI::AsSizeValue(false))
      ->option_text("BYTES [1G]");
  command->callback([arguments, run, &action] {
    action = [arguments, run] {
      const PrepareOptions& common = arguments->resolved();
      run(arguments->kind, common);
      fmt::print("{}", dataset_summary(common.output));
      return 0;
    };
  });
  return {command, arguments};
}

// Groups of kinds, a file each.
void add_prepare_csv(CLI::App* prepare, Action& action);
void add_prepare_idx(CLI::App* prepare, Action& action);
void add_prepare_images(CLI::App* prepare, Action& action);
void add_prepare_synthetic(CLI::App* prepare, Action& action);
void add_prepare_npy(CLI::App* prepare, Action& action);
void add_prepare_repack(CLI::App* prepare, Action& action);

}  // namespace lockstep
