// lockstep prepare images FOLDER -o FILE.h5, lockstep prepare cifar10 FOLDER -o FILE.h5
#include "launch/prepare/kind.h"
#include "runtime/run/cpu_resources.h"

namespace lockstep {

namespace {

struct ImagesArguments {
  ImageFolderOptions options;
  std::int64_t resize = 0;  // 0: as the size
};

void run_images(const ImagesArguments& arguments, const PrepareOptions& common) {
  ImageFolderOptions options = arguments.options;
  options.fit.shorter = arguments.resize > 0 ? arguments.resize : options.fit.size;
  if (options.threads == 0) options.threads = resolve_threads(0, 1, 0).threads;
  options.say = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  prepare_image_folder(options, common);
}

}  // namespace

void add_prepare_images(CLI::App* prepare, Action& action) {
  const auto [command, arguments] = add_kind<ImagesArguments>(
      prepare, "images", "a folder of JPEG and PNG files, a sub-folder a class", run_images,
      action);
  ImageFolderOptions& images = arguments->kind.options;
  images.threads = 0;
  command->add_option("folder", images.folder, "folder of images")->required();
  CLI::Option* regex =
      command->add_option("--label-regex", images.labelling.regex,
                          "pattern whose first group, in the file's name, is the class");
  command
      ->add_option("--labels", images.labelling.table,
                   "CSV file of name and label, with a header line")
      ->excludes(regex);
  command->add_option("--size", images.fit.size, "pixels a side")
      ->check(kPositive)
      ->capture_default_str();
  command
      ->add_option("--resize", arguments->kind.resize,
                   "shorter side before the centre is cut out (default: as --size)")
      ->check(kPositive);
  command->add_option("--channels", images.fit.channels, "3: colours, 1: grey")
      ->check(CLI::IsMember({1, 3}))
      ->capture_default_str();
  command->add_flag("--fast-decode", images.fit.fast,
                    "large JPEGs at a fraction of their size: up to 8 grey levels off");
  command
      ->add_option("--max-broken", images.max_broken,
                   "images that cannot be read and are left out; more are an error")
      ->check(kNotNegative)
      ->capture_default_str();
  command->add_option("--max-pixels", images.max_pixels, "images that claim more are not read")
      ->check(kPositive)
      ->capture_default_str();
  command->add_option("--threads", images.threads, "that decode; 0: one a core")
      ->check(kNotNegative)
      ->capture_default_str();
  command->footer(
      "The shorter side becomes --resize, then --size x --size pixels are cut out of the centre:\n"
      "torchvision's Resize and CenterCrop. Folders called train and val or test are the parts.\n"
      "Examples:\n"
      "  lockstep prepare images flowers/ --validation 0.1 --test 0.2 -o flowers.h5\n"
      "  lockstep prepare images pets/ --label-regex '^(.+)_\\d+\\.jpg$' --test 0.2 -o pets.h5\n"
      "  lockstep prepare images photos/ --labels photos.csv --resize 256 --size 224 -o p.h5\n");

  const auto cifar = add_kind<Cifar10Options>(
      prepare, "cifar10", "50,000 + 10,000 images of 10 classes (the binary version)",
      prepare_cifar10, action);
  cifar.first->add_option("folder", cifar.second->kind.folder, "folder of the .bin files")
      ->required();
  cifar.first->footer(
      "Example:\n"
      "  tar -xzf cifar-10-binary.tar.gz\n"
      "  lockstep prepare cifar10 cifar-10-batches-bin --validation 5000 -o cifar10.h5\n");
}

}  // namespace lockstep
