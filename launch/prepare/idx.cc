// lockstep prepare digits, fashion-mnist and idx: images that come with labels.
#include "launch/installation.h"
#include "launch/prepare/kind.h"

namespace lockstep {

void add_prepare_idx(CLI::App* prepare, Action& action) {
  const auto digits = add_kind<DigitsOptions>(prepare, "digits",
                                              "the bundled 1,797 handwritten digits of 8x8 pixels",
                                              prepare_digits, action);
  digits.second->kind.file = bundled_data("digits.csv");
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
  idx->add_option("images", arguments->kind.images,
                  "training images, or the folder of MNIST's four files")
      ->required();
  idx->add_option("labels", arguments->kind.labels, "training labels");
  idx->add_option("--test-images", arguments->kind.test_images, "test images");
  idx->add_option("--test-labels", arguments->kind.test_labels, "test labels");
  idx->add_option("--classes", arguments->kind.classes, "class names, by label")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->option_text("NAME[,NAME...]");
  idx->footer(
      "Examples:\n  lockstep prepare idx mnist/ --validation 5000 -o mnist.h5\n"
      "  lockstep prepare idx train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz -o mnist.h5\n");
}

}  // namespace lockstep
