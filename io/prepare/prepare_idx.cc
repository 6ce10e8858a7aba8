// MNIST-style IDX files, and Fashion-MNIST, which is four of them. Images are read row by row.
#include <filesystem>

#include "io/formats/idx.h"
#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

// Images as the file has them, (N, H, W, 1), and their labels.
class IdxRows final : public RowSource {
 public:
  IdxRows(const std::string& images, const std::string& labels) : images_(images, 3) {
    const Tensor bytes = read_idx(labels, 1);
    const Shape& size = images_.shape();
    if (size[0] != bytes.rows())
      throw Error("{} holds {} images, {} holds {} labels; they belong to different sets", images,
                  size[0], labels, bytes.rows());
    if (size[0] == 0) throw Error("{}: no images", images);
    const std::span<const std::uint8_t> values = bytes.span<std::uint8_t>();
    labels_.assign(values.begin(), values.end());
    layout_ = {.rows = size[0],
               .sample = {size[1], size[2], 1},
               .x_type = DType::kUInt8,
               .target = TargetKind::kClass};
  }

  const RowLayout& layout() const override { return layout_; }
  void read(std::span<const std::int64_t> rows, const RowBlock& to) override {
    images_.read(rows, to.x.raw());
    for (std::size_t i = 0; i < rows.size(); ++i)
      to.y.data<std::int64_t>()[i] = labels_[static_cast<std::size_t>(rows[i])];
  }
  std::vector<std::int64_t> labels() override { return labels_; }

 private:
  IdxReader images_;
  std::vector<std::int64_t> labels_;
  RowLayout layout_;
};

// One of MNIST's files in a folder, packed or not, under the name that its authors gave it or the
// one that unpackers make of it; empty where there is none.
std::string find_file(const std::string& folder, const std::string& name, const std::string& type) {
  for (const std::string& spelt : {name + "-" + type, name + "." + type})
    for (const char* packed : {".gz", ""}) {
      const std::filesystem::path path = std::filesystem::path(folder) / (spelt + packed);
      if (std::filesystem::exists(path)) return path.string();
    }
  return "";
}

// The four files of a folder, or the two of the training part alone.
IdxOptions find_files(const std::string& folder, const std::string& hint) {
  IdxOptions found;
  found.images = find_file(folder, "train-images", "idx3-ubyte");
  found.labels = find_file(folder, "train-labels", "idx1-ubyte");
  found.test_images = find_file(folder, "t10k-images", "idx3-ubyte");
  found.test_labels = find_file(folder, "t10k-labels", "idx1-ubyte");
  for (const auto& [file, name] : {std::pair{found.images, "train-images-idx3-ubyte.gz"},
                                   std::pair{found.labels, "train-labels-idx1-ubyte.gz"}})
    if (file.empty())
      throw Error("{}: not found; {}", (std::filesystem::path(folder) / name).string(), hint);
  if (found.test_images.empty() != found.test_labels.empty())
    throw Error("{}: there are t10k-{} alone; their {} are missing", folder,
                found.test_images.empty() ? "labels" : "images",
                found.test_images.empty() ? "images" : "labels");
  return found;
}

void prepare(const std::string& kind, const IdxOptions& options, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  const auto all = std::make_shared<IdxRows>(options.images, options.labels);
  std::shared_ptr<IdxRows> test;
  DatasetContents contents;
  contents.info.task = "classification";
  contents.info.source =
      fmt::format("{}: {}, {}", kind, file_name(options.images), file_name(options.labels));
  std::vector<LabelsOfFile> labels = {{options.labels, all->labels()}};
  if (!options.test_images.empty()) {
    test = std::make_shared<IdxRows>(options.test_images, options.test_labels);
    if (test->layout().sample != all->layout().sample)
      throw Error("{} holds images of {}, {} of {}", options.images,
                  all->layout().sample.to_string(), options.test_images,
                  test->layout().sample.to_string());
    contents.info.source +=
        fmt::format(", {}, {}", file_name(options.test_images), file_name(options.test_labels));
    labels.push_back({options.test_labels, test->labels()});
  }
  contents.info.classes = name_classes(options.classes, 0, labels);
  write_parts(all, plan_split(*all, common), common, std::move(contents), test);
}

}  // namespace

void prepare_idx(const IdxOptions& options, const PrepareOptions& common) {
  IdxOptions files = options;
  if (std::filesystem::is_directory(options.images)) {
    if (!options.labels.empty() || !options.test_images.empty() || !options.test_labels.empty())
      throw Error("{}: a folder brings all of its files; name none beside it", options.images);
    files = find_files(options.images,
                       "name the folder of MNIST's files, or files of other names one by one");
    files.classes = options.classes;
  } else if (options.labels.empty()) {
    throw Error("{}: name the file of the labels too, or a folder that holds MNIST's four files",
                options.images);
  }
  if (files.test_images.empty() != files.test_labels.empty())
    throw Error("name both test images and test labels, or neither");
  prepare("idx", files, common);
}

void prepare_fashion_mnist(const FashionMnistOptions& options, const PrepareOptions& common) {
  IdxOptions idx = find_files(
      options.folder,
      "install Fashion-MNIST with 'apt-get install dataset-fashion-mnist', or name the folder that "
      "holds its four files");
  idx.classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                 "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  prepare("fashion-mnist", idx, common);
}

}  // namespace lockstep
