// `lockstep prepare KIND`: from what people have (IDX, CSV, bundled data) to a dataset file. One
// options struct and one function a kind; each kind has a file of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/dataset/dataset_writer.h"
#include "io/images/decode.h"
#include "io/prepare/csv_encoding.h"
#include "io/prepare/image_folder.h"
#include "io/prepare/split.h"

namespace lockstep {

struct PrepareOptions {
  std::string output;
  Portion validation;           // default: none
  std::optional<Portion> test;  // default: the kind's own
  std::uint64_t seed = 0;       // of the split, and of synthetic data
  DatasetWriteOptions write;
};

// The 1,797 handwritten digits of UCI's optical recognition data, 8×8, (N, 8, 8, 1) uint8. The grey
// values 0 to 16 are kept as they are. `file` is the bundled launch/data/digits.csv. Without a test
// portion, a fifth of the rows is the test part.
struct DigitsOptions {
  std::string file;
};
void prepare_digits(const DigitsOptions& options, const PrepareOptions& common);

// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 + 10,000 images, four .gz files (or unpacked)
// in `folder`. The 10,000 are the test part; a validation part is taken from the 60,000.
struct FashionMnistOptions {
  std::string folder = "/usr/share/datasets/fashion-mnist";
};
void prepare_fashion_mnist(const FashionMnistOptions& options, const PrepareOptions& common);

// IDX files as MNIST's, plain or .gz. Test files are both named or neither; where they are, a test
// portion is an error. `images` alone may be a folder: of train-images-idx3-ubyte, or .gz, and so on.
struct IdxOptions {
  std::string images, labels;
  std::string test_images, test_labels;
  std::vector<std::string> classes;  // names by label; empty: "0", "1", ...
};
void prepare_idx(const IdxOptions& options, const PrepareOptions& common);

// A CSV file with one row a sample. Columns are named, or numbered from 0. Every column that is not
// target, weight or excluded is an input; those of text become categories.
struct CsvPrepareOptions {
  std::string file;
  CsvOptions format;
  std::vector<std::string> targets;      // one for classification, any number for regression
  std::string weight;                    // column of sample weights; empty: none
  std::vector<std::string> exclude;      // columns to leave out
  std::vector<std::string> categorical;  // inputs that are categories though they look like numbers
  CategoryCoding categories = CategoryCoding::kOneHot;
  MissingValues missing = MissingValues::kError;  // kMean: of the training part
  enum class Task { kClassification, kRegression } task = Task::kClassification;
  bool standardize = true;  // false: the recorded mean is 0 and the standard deviation 1
};
void prepare_csv(const CsvPrepareOptions& options, const PrepareOptions& common);

// NumPy's .npy files: x (N, ...), y (N) or (N, K), optionally weight (N), and the same of a test
// part. Types become what they would become of an HDF5 file. For classification y are integers: (N)
// or (N, 1) labels, or one-hot rows.
struct NpyOptions {
  std::string x{}, y{}, weight{};
  std::string test_x{}, test_y{}, test_weight{};
  std::vector<std::string> classes{};  // names by label; empty: "0", "1", ...
  bool regression = false;
};
void prepare_npy(const NpyOptions& options, const PrepareOptions& common);

// Any HDF5 file that Dataset::open reads, rewritten as a file of ours: contiguous unless the common
// options ask for chunks, rows in their order unless `shuffle`. Parts are the groups /train,
// /validation and /test where they are there, else arrays at the root; or arrays at given paths.
// The checksum of the contents stays unless the order, or a part, changes; what one of our files
// says of itself stays.
struct RepackOptions {
  std::string file;
  std::string x, y, weight;  // as in DataSource; empty: the usual names
  std::string test_x, test_y, test_weight;
  DataSource::Axes axes = DataSource::Axes::kNhwc;
  bool shuffle = false;
};
void prepare_repack(const RepackOptions& options, const PrepareOptions& common);

// JPEG and PNG files below a folder, resized to size x size and cut out of the centre as
// torchvision's Resize and CenterCrop do it, (N, size, size, channels) uint8. Parts and classes as
// image_folder.h says; a portion for a part that the folder has is an error. Files that are no
// images and have no image's name are left out. Those that are, and cannot be read, are too, up to
// max_broken; more are an Error. The result depends on no number of threads.
struct ImageFolderOptions {
  std::string folder;
  ImageLabelling labelling;
  FitOptions fit;
  std::int64_t max_broken = 0;
  std::int64_t max_pixels = kMostPixels;
  int threads = 1;
  std::function<void(const std::string&)> say = [](const std::string&) {};  // a line for the user
};
void prepare_image_folder(const ImageFolderOptions& options, const PrepareOptions& common);

// CIFAR-10's binary version: data_batch_1.bin to data_batch_5.bin, test_batch.bin and
// batches.meta.txt, unpacked in `folder` or in its cifar-10-batches-bin. (N, 32, 32, 3) uint8; the
// 10,000 are the test part.
struct Cifar10Options {
  std::string folder;
};
void prepare_cifar10(const Cifar10Options& options, const PrepareOptions& common);

// What kinds share ------------------------------------------------------------------------------

// Parts as the common options ask, stratified if y are classes.
Split plan_split(RowSource& rows, const PrepareOptions& common);
// Writes the parts of `rows`. `test`, where it is given, is the test part as it stands; common.test
// is then an error.
void write_parts(std::shared_ptr<RowSource> rows, Split split, const PrepareOptions& common,
                 DatasetContents contents, std::shared_ptr<RowSource> test = nullptr);

// For kinds that hold `path` in memory as a whole: throws if that is more than --max-memory.
void require_memory(const std::string& path, std::uint64_t bytes, const PrepareOptions& common);

// Names by label: `given`, or if empty "0" to the largest of all labels. Throws, naming the file,
// if a label has no name. `least`: so many classes there are at least.
struct LabelsOfFile {
  std::string file;
  std::vector<std::int64_t> labels;
};
std::vector<std::string> name_classes(const std::vector<std::string>& given, std::int64_t least,
                                      const std::vector<LabelsOfFile>& files);

}  // namespace lockstep
