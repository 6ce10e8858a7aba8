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
