// lockstep prepare KIND ... -o FILE.h5
#include "io/prepare/prepare.h"
#include "io/dataset/summary.h"
#include "launch/commands.h"

namespace lockstep {

namespace {

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
  command->add_option("--seed", arguments->common.seed, "of the split")->capture_default_str();
  command->add_flag("--force", arguments->common.force, "replace an existing file");
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

void add_csv(CLI::App* prepare, Action& action) {
  const auto [command, arguments] =
      add_kind<CsvPrepareOptions>(prepare, "csv", "a table, one row a sample", prepare_csv, action);
  CsvPrepareOptions& csv = arguments->kind;
  command->add_option("file", csv.file, "CSV file")->required();
  command
      ->add_option("--target", csv.targets,
                   "column to predict, by name or number; several for regression")
      ->required()
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--weight", csv.weight, "column of sample weights");
  command->add_option("--exclude", csv.exclude, "columns to leave out")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_option("--categorical", csv.categorical, "columns that are categories, not numbers")
      ->allow_extra_args(false)
      ->delimiter(',');
  const std::map<std::string, CategoryCoding> codings{{"one-hot", CategoryCoding::kOneHot},
                                                      {"ordinal", CategoryCoding::kOrdinal}};
  command->add_option("--categories", csv.categories, "how categories become numbers")
      ->transform(CLI::CheckedTransformer(codings))
      ->option_text("one-hot (default) or ordinal");
  const std::map<std::string, MissingValues> missing{{"error", MissingValues::kError},
                                                     {"drop", MissingValues::kDrop},
                                                     {"mean", MissingValues::kMean}};
  command->add_option("--missing", csv.missing, "empty cells: refuse, leave out the row, or fill")
      ->transform(CLI::CheckedTransformer(missing))
      ->option_text("error (default), drop or mean");
  using Task = CsvPrepareOptions::Task;
  const std::map<std::string, Task> tasks{{"classification", Task::kClassification},
                                          {"regression", Task::kRegression}};
  command->add_option("--task", csv.task, "what the target is")
      ->transform(CLI::CheckedTransformer(tasks))
      ->option_text("classification (default) or regression");
  command->add_flag_callback(
      "--no-header", [&csv] { csv.format.header = false; },
      "the first line is data: columns are 0, 1, ...");
  command->add_option("--delimiter", csv.format.delimiter, "between cells")->capture_default_str();
  command->add_flag_callback(
      "--no-standardize", [&csv] { csv.standardize = false; },
      "record mean 0 and deviation 1: training then sees the columns as they are");
  command->footer(
      "Examples:\n"
      "  lockstep prepare csv launch/data/titanic.csv --target survived --missing mean -o t.h5\n"
      "  lockstep prepare csv launch/data/galton_families.csv --target child --task regression \\\n"
      "      --test 0.2 -o heights.h5\n");
}

}  // namespace

void add_prepare(CLI::App& app, Action& action) {
  CLI::App* prepare = app.add_subcommand("prepare", "make a dataset file");
  prepare->require_subcommand(1);
  prepare->footer(
      "Examples:\n"
      "  lockstep prepare fashion-mnist -o fashion-mnist.h5\n"
      "  lockstep prepare csv table.csv --target price --task regression -o table.h5\n"
      "Each kind has a --help of its own.\n");

  const auto digits = add_kind<DigitsOptions>(prepare, "digits",
                                              "the bundled 1,797 handwritten digits of 8x8 pixels",
                                              prepare_digits, action);
  digits.second->kind.file = LOCKSTEP_DATA_DIR "/digits.csv";
  digits.first->add_option("--file", digits.second->kind.file, "CSV of label and 64 pixels")
      ->capture_default_str();
  digits.first->footer("Example:\n  lockstep prepare digits -o digits.h5 --test 0.2\n");

  const auto fashion = add_kind<FashionMnistOptions>(
      prepare, "fashion-mnist",
      "60,000 + 10,000 pictures of clothes (Debian: dataset-fashion-mnist)", prepare_fashion_mnist,
      action);
  fashion.first->add_option("folder", fashion.second->kind.folder, "folder of the four IDX files")
      ->capture_default_str();
  fashion.first->footer(
      "Example:\n  lockstep prepare fashion-mnist --validation 5000 -o fashion-mnist.h5\n");

  const auto [idx, arguments] =
      add_kind<IdxOptions>(prepare, "idx", "MNIST-style files, plain or .gz", prepare_idx, action);
  idx->add_option("images", arguments->kind.images, "training images")->required();
  idx->add_option("labels", arguments->kind.labels, "training labels")->required();
  idx->add_option("--test-images", arguments->kind.test_images, "test images");
  idx->add_option("--test-labels", arguments->kind.test_labels, "test labels");
  idx->add_option("--classes", arguments->kind.classes, "class names, by label")
      ->allow_extra_args(false)
      ->delimiter(',');
  idx->footer(
      "Example:\n  lockstep prepare idx train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz -o "
      "mnist.h5\n");

  add_csv(prepare, action);
}

}  // namespace lockstep
