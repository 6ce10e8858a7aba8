// lockstep prepare repack IN.h5 -o OUT.h5
#include "launch/prepare/kind.h"

namespace lockstep {

void add_prepare_repack(CLI::App* prepare, Action& action) {
  const auto [command, arguments] = add_kind<RepackOptions>(
      prepare, "repack", "an HDF5 file, ours or another's, in the form that loads fastest",
      prepare_repack, action);
  RepackOptions& repack = arguments->kind;
  command->add_option("file", repack.file, "HDF5 file to read")->required();
  command->add_option("--x", repack.x, "path of x in the file (default: x of each part)");
  command->add_option("--y", repack.y, "path of y");
  command->add_option("--weight", repack.weight, "path of the sample weights");
  command->add_option("--test-x", repack.test_x, "path of the test part's x");
  command->add_option("--test-y", repack.test_y, "path of the test part's y");
  command->add_option("--test-weight", repack.test_weight, "path of the test part's weights");
  const std::map<std::string, DataSource::Axes> axes{{"nhwc", DataSource::Axes::kNhwc},
                                                     {"nchw", DataSource::Axes::kNchw}};
  command->add_option("--axes", repack.axes, "order of the axes of images in the file")
      ->transform(CLI::CheckedTransformer(axes))
      ->option_text("nhwc (default) or nchw");
  command->add_flag("--shuffle", repack.shuffle, "rows of each part in an order drawn by --seed");
  command->footer(
      "Examples:\n"
      "  lockstep prepare repack slow.h5 -o fast.h5\n"
      "  lockstep prepare repack other.h5 --x /images --y /labels --axes nchw --test 0.2 -o "
      "ours.h5\n"
      "  lockstep prepare repack large.h5 --compress 4 --max-memory 512M -o small.h5\n");
}

}  // namespace lockstep
