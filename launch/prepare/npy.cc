// lockstep prepare npy X.npy Y.npy -o FILE.h5
#include "launch/prepare/kind.h"

namespace lockstep {

void add_prepare_npy(CLI::App* prepare, Action& action) {
  const auto [command, arguments] =
      add_kind<NpyOptions>(prepare, "npy", "NumPy arrays, a file each", prepare_npy, action);
  NpyOptions& npy = arguments->kind;
  command->add_option("x", npy.x, "samples (N, ...)")->required();
  command->add_option("y", npy.y, "labels (N), one-hot rows or values (N, K)")->required();
  command->add_option("--weight", npy.weight, "sample weights (N)");
  command->add_option("--test-x", npy.test_x, "samples of the test part");
  command->add_option("--test-y", npy.test_y, "labels or values of the test part");
  command->add_option("--test-weight", npy.test_weight, "weights of the test part");
  command->add_option("--classes", npy.classes, "class names, by label")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->option_text("NAME[,NAME...]");
  const std::map<std::string, bool> tasks{{"classification", false}, {"regression", true}};
  command->add_option("--task", npy.regression, "what the target is")
      ->transform(CLI::CheckedTransformer(tasks))
      ->option_text("classification (default) or regression");
  command->footer(
      "Example:\n"
      "  lockstep prepare npy x_train.npy y_train.npy --test-x x_test.npy --test-y y_test.npy \\\n"
      "      --validation 0.1 -o data.h5\n");
}

}  // namespace lockstep
