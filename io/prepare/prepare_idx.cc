// MNIST-style IDX files, and Fashion-MNIST, which is four of them.
#include <algorithm>
#include <filesystem>

#include "io/formats/idx.h"
#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

SplitData read_pair(const std::string& images, const std::string& labels) {
  const Tensor x = read_idx(images, 3), bytes = read_idx(labels, 1);
  if (x.rows() != bytes.rows())
    throw Error("{} holds {} images, {} holds {} labels; they belong to different sets", images,
                x.rows(), labels, bytes.rows());
  if (x.rows() == 0) throw Error("{}: no images", images);
  const Tensor y = host_tensor({bytes.rows()}, DType::kInt64);
  std::copy_n(bytes.data<std::uint8_t>(), bytes.rows(), y.data<std::int64_t>());
  const Shape& size = x.shape();
  return {x.view({size[0], size[1], size[2], 1}), y, Tensor()};
}

// Names by label; without given ones "0" to the largest label of all rows.
std::vector<std::string> class_names(const IdxOptions& options, const SplitData& all,
                                     const SplitData& test) {
  std::vector<std::string> names = options.classes;
  for (const auto& [split, file] :
       {std::pair(&all, &options.labels), std::pair(&test, &options.test_labels)}) {
    if (split->rows() == 0) continue;
    const std::span<const std::int64_t> labels = split->y.span<std::int64_t>();
    const auto largest = std::max_element(labels.begin(), labels.end());
    const auto count = static_cast<std::size_t>(*largest) + 1;
    if (!options.classes.empty() && count > options.classes.size())
      throw Error("{}: label {} in row {}, but {} classes are named", *file, *largest,
                  largest - labels.begin(), options.classes.size());
    while (names.size() < count) names.push_back(std::to_string(names.size()));
  }
  return names;
}

void prepare(const std::string& kind, const IdxOptions& options, const PrepareOptions& common) {
  check_output(common.output, common.force);
  const SplitData all = read_pair(options.images, options.labels);
  SplitData test;
  DatasetContents contents;
  contents.info.task = "classification";
  contents.info.source =
      fmt::format("{}: {}, {}", kind, file_name(options.images), file_name(options.labels));
  if (!options.test_images.empty()) {
    test = read_pair(options.test_images, options.test_labels);
    if (test.x.shape().without_rows() != all.x.shape().without_rows())
      throw Error("{} holds images of {}, {} of {}", options.images,
                  all.x.shape().without_rows().to_string(), options.test_images,
                  test.x.shape().without_rows().to_string());
    contents.info.source +=
        fmt::format(", {}, {}", file_name(options.test_images), file_name(options.test_labels));
  }
  contents.info.classes = class_names(options, all, test);
  write_parts(all, plan_split(all.y, common), common, std::move(contents), std::move(test));
}

}  // namespace

void prepare_idx(const IdxOptions& options, const PrepareOptions& common) {
  if (options.test_images.empty() != options.test_labels.empty())
    throw Error("name both test images and test labels, or neither");
  prepare("idx", options, common);
}

void prepare_fashion_mnist(const FashionMnistOptions& options, const PrepareOptions& common) {
  const auto find = [&](const std::string& name) {
    const std::filesystem::path plain = std::filesystem::path(options.folder) / name;
    const std::filesystem::path packed = plain.string() + ".gz";
    if (std::filesystem::exists(packed)) return packed.string();
    if (std::filesystem::exists(plain)) return plain.string();
    throw Error(
        "{}: not found; install Fashion-MNIST with 'apt-get install dataset-fashion-mnist', or "
        "name the folder that holds its four files",
        packed.string());
  };
  IdxOptions idx;
  idx.images = find("train-images-idx3-ubyte");
  idx.labels = find("train-labels-idx1-ubyte");
  idx.test_images = find("t10k-images-idx3-ubyte");
  idx.test_labels = find("t10k-labels-idx1-ubyte");
  idx.classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                 "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  prepare("fashion-mnist", idx, common);
}

}  // namespace lockstep
