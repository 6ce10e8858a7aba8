// lockstep prepare csv TABLE.csv --target COLUMN -o FILE.h5
#include "launch/prepare/kind.h"

namespace lockstep {

void add_prepare_csv(CLI::App* prepare, Action& action) {
  const auto [command, arguments] =
      add_kind<CsvPrepareOptions>(prepare, "csv", "a table, one row a sample", prepare_csv, action);
  CsvPrepareOptions& csv = arguments->kind;
  command->add_option("file", csv.file, "CSV file")->required();
  command
      ->add_option("--target", csv.targets,
                   "column to predict, by name or number; several for regression")
      ->required()
      ->allow_extra_args(false)
      ->delimiter(',')
      ->option_text("COLUMN[,COLUMN...] REQUIRED");
  command->add_option("--weight", csv.weight, "column of sample weights");
  command->add_option("--exclude", csv.exclude, "columns to leave out")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->option_text("COLUMN[,COLUMN...]");
  command->add_option("--categorical", csv.categorical, "columns that are categories, not numbers")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->option_text("COLUMN[,COLUMN...]");
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

}  // namespace lockstep
