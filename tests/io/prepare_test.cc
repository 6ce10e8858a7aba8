// Preparing datasets: what h5py finds in our files, and every bad input with its message.
#include "io/prepare/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "io/base/file.h"
#include "io/dataset/dataset.h"
#include "io/hdf5/hdf5.h"
#include "tests/io/plain_file.h"
#include "tests/io/python.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Task = CsvPrepareOptions::Task;

std::string bundled(const std::string& name) {
  const auto tests = std::filesystem::path(__FILE__).parent_path().parent_path();
  return (tests.parent_path() / "launch" / "data" / name).string();
}

class Prepare : public ::testing::Test {
 protected:
  Prepare() { common_.output = folder_.file("out.h5"); }

  CsvPrepareOptions csv(const std::string& text) const {
    save_text(folder_.file("data.csv"), text);
    CsvPrepareOptions options;
    options.file = folder_.file("data.csv");
    options.targets = {"y"};
    return options;
  }
  std::string csv_error(const CsvPrepareOptions& options) const {
    const std::string message = error_of([&] { prepare_csv(options, common_); });
    EXPECT_FALSE(std::filesystem::exists(common_.output)) << message;
    EXPECT_FALSE(std::filesystem::exists(common_.output + ".partial")) << message;
    return message;
  }
  // What h5py prints for an expression over f, the file just prepared.
  std::string h5py(const std::string& expression) const {
    std::string output = python_output("import h5py, numpy\nf = h5py.File('" + common_.output +
                                       "')\nprint((" + expression + "))\n");
    output.pop_back();
    return output;
  }

  ScratchFolder folder_;
  PrepareOptions common_;
};

TEST_F(Prepare, DigitsAreWhatTheCsvHolds) {
  prepare_digits({bundled("digits.csv")}, common_);
  const std::string output = python_output(
      "import csv, h5py, numpy\n"
      "rows = numpy.array(list(csv.reader(open('" +
      bundled("digits.csv") +
      "')))[1:], int)\n"
      "f = h5py.File('" +
      common_.output +
      "')\n"
      "assert sorted(f) == ['test', 'train'] and f['test/x'].shape == (359, 8, 8, 1)\n"
      "both = [numpy.concatenate([f[g + '/y'][:][:, None], f[g + '/x'][:].reshape(-1, 64)], 1)\n"
      "        for g in ('train', 'test')]\n"
      "ours = numpy.concatenate(both)\n"
      "assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, rows.tolist()))\n"
      "x = f['train/x'][:] / 255.0\n"
      "assert abs(f.attrs['mean'][0] - x.mean()) < 1e-12\n"
      "assert abs(f.attrs['std'][0] - x.std()) < 1e-12\n"
      "share = numpy.bincount(f['test/y'][:]) / numpy.bincount(rows[:, 0])\n"
      "assert (abs(share - 0.2) < 1 / 170).all(), share\n"
      "assert f['train/x'].dtype == 'u1' and f['train/y'].dtype == '<i8'\n"
      "assert f['train/x'].chunks is None and f['train/x'].id.get_offset() is not None\n"
      "print(int(f.attrs['lockstep_format'][0]), f.attrs['task'], f.attrs['source'])\n"
      "print(list(f.attrs['classes']), len(f.attrs['checksum']))\n");
  EXPECT_EQ(output,
            "1 classification digits: digits.csv\n"
            "['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] 16\n");
}

TEST_F(Prepare, EqualInputsGiveEqualBytes) {
  common_.validation = Portion::of_count(100);
  prepare_digits({bundled("digits.csv")}, common_);
  const std::string first = read_text(common_.output);
  common_.output = folder_.file("other name.h5");
  prepare_digits({bundled("digits.csv")}, common_);
  EXPECT_EQ(read_text(common_.output), first);
  common_.write.force = true;
  common_.seed = 1;
  prepare_digits({bundled("digits.csv")}, common_);
  EXPECT_NE(read_text(common_.output), first);
}

TEST_F(Prepare, TheFileOpensAsADataset) {
  prepare_digits({bundled("digits.csv")}, common_);
  const auto train = Dataset::open({.file = common_.output, .group = "/train"});
  EXPECT_EQ(train->rows(), 1438);
  EXPECT_EQ(train->sample_shape(), Shape({8, 8, 1}));
  EXPECT_EQ(train->class_count(), 10);
  EXPECT_EQ(train->info().checksum, file_checksum(common_.output));
}

TEST_F(Prepare, AnExistingFileNeedsForce) {
  save_text(common_.output, "precious");
  EXPECT_THAT(error_of([&] { prepare_digits({bundled("digits.csv")}, common_); }),
              HasSubstr("exists already"));
  EXPECT_EQ(read_text(common_.output), "precious");
  common_.write.force = true;
  common_.test = Portion::of_count(2000);
  EXPECT_THAT(error_of([&] { prepare_digits({bundled("digits.csv")}, common_); }),
              HasSubstr("none of 1797"));
  EXPECT_EQ(read_text(common_.output), "precious");
  common_.test.reset();
  prepare_digits({bundled("digits.csv")}, common_);
  EXPECT_NE(read_text(common_.output), "precious");
  common_.output = folder_.file("absent/out.h5");
  EXPECT_THAT(error_of([&] { prepare_digits({bundled("digits.csv")}, common_); }),
              HasSubstr("there is no folder"));
}

TEST_F(Prepare, NumbersAndOneHotCategories) {
  CsvPrepareOptions options =
      csv("n,y,color\n1,cat,red\n2,dog,blue\n4,cat,red\n5,dog,\"dark, red\"\n");
  prepare_csv(options, common_);
  EXPECT_EQ(h5py("f['train/x'][:].tolist(), f['train/y'][:].tolist()"),
            "([[1.0, 0.0, 0.0, 1.0], [2.0, 1.0, 0.0, 0.0], [4.0, 0.0, 0.0, 1.0], "
            "[5.0, 0.0, 1.0, 0.0]], [0, 1, 0, 1])");
  EXPECT_EQ(h5py("list(f.attrs['columns']), list(f.attrs['classes']), list(f.attrs['targets'])"),
            "(['n', 'color=blue', 'color=dark, red', 'color=red'], ['cat', 'dog'], ['y'])");
  EXPECT_EQ(h5py("f.attrs['mean'][:2].tolist(), abs(f.attrs['std'] - f['train/x'][:].std(0)).max() "
                 "< 1e-7"),
            "([3.0, 0.25], True)");
}

TEST_F(Prepare, OrdinalAndNumericCategoriesConstantColumns) {
  CsvPrepareOptions options = csv("c,k,y,s\n10,0.1,0,b\n9,0.1,1,a\n10.0,0.1,1,b\n");
  options.categories = CategoryCoding::kOrdinal;
  options.categorical = {"c"};
  prepare_csv(options, common_);
  EXPECT_EQ(h5py("f['train/x'][:].tolist()"),
            "[[1.0, 0.10000000149011612, 1.0], [0.0, 0.10000000149011612, 0.0], "
            "[1.0, 0.10000000149011612, 1.0]]");
  EXPECT_EQ(h5py("f.attrs['std'][1]"), "1.0");  // k is constant
}

TEST_F(Prepare, RegressionTargetsWeightsAndNoStandardisation) {
  CsvPrepareOptions options = csv("a,w,id,y,z\n1,1,p,0.5,3\n2,0.25,q,1.5,4\n");
  options.targets = {"y", "4"};
  options.weight = "w";
  options.exclude = {"id"};
  options.task = Task::kRegression;
  options.standardize = false;
  prepare_csv(options, common_);
  EXPECT_EQ(h5py("f['train/y'][:].tolist(), f['train/weight'][:].tolist(), f['train/x'].shape"),
            "([[0.5, 3.0], [1.5, 4.0]], [1.0, 0.25], (2, 1))");
  EXPECT_EQ(h5py("f.attrs['mean'].tolist(), f.attrs['std'].tolist(), f.attrs['task'], "
                 "f.attrs['classes'].shape"),
            "([0.0], [1.0], 'regression', (0,))");
}

TEST_F(Prepare, NoHeaderSemicolonsAndOneRow) {
  CsvPrepareOptions options = csv("7;1.5\r\n");
  options.format = {.delimiter = ';', .header = false};
  options.targets = {"1"};
  options.task = Task::kRegression;
  prepare_csv(options, common_);
  EXPECT_EQ(h5py("f['train/x'][:].tolist(), f['train/y'][:].tolist(), f.attrs['std'].tolist()"),
            "([[7.0]], [[1.5]], [1.0])");
}

TEST_F(Prepare, MissingValuesAreDroppedFilledOrRefused) {
  const std::string text = "n,s,y\n1,a,0\n,b,1\nNA,?,1\n3,b,0\n8,b,1\n";
  CsvPrepareOptions options = csv(text);
  EXPECT_THAT(csv_error(options),
              AllOf(HasSubstr("line 3, column 'n': missing value"), HasSubstr("--missing drop")));
  options.missing = MissingValues::kDrop;
  prepare_csv(options, common_);
  EXPECT_EQ(h5py("f['train/x'][:, 0].tolist()"), "[1.0, 3.0, 8.0]");
  options.missing = MissingValues::kMean;
  common_.write.force = true;
  prepare_csv(options, common_);
  EXPECT_EQ(h5py("f['train/x'][:].tolist()"),
            "[[1.0, 1.0, 0.0], [4.0, 0.0, 1.0], [4.0, 0.0, 1.0], [3.0, 0.0, 1.0], "
            "[8.0, 0.0, 1.0]]");
}

TEST_F(Prepare, MeansComeFromTheTrainingPartAlone) {
  std::string text = "n,y\n,0\n";
  for (int row = 0; row < 50; ++row) text += fmt::format("{},{}\n", row * row, row % 2);
  CsvPrepareOptions options = csv(text);
  options.missing = MissingValues::kMean;
  common_.test = Portion::of_fraction(0.5);
  prepare_csv(options, common_);
  const hdf5::File file = hdf5::File::open(common_.output);
  const CsvEncoding encoding(file.text("/", "encoding").value());
  const double fill = parse_number(encoding.columns()[0].fill.value()).value();
  // The one missing row is filled with the mean of the others of its part, if it is in that part.
  EXPECT_EQ(h5py(fmt::format("abs(numpy.mean([v for v in f['train/x'][:, 0].tolist() "
                             "if v != numpy.float32({})]) - {}) < 1e-3",
                             fill, fill)),
            "True");
}

TEST_F(Prepare, TheEncodingServesOtherFiles) {
  CsvPrepareOptions options = csv("n,s,y\n1,a,0\n3,b,1\n,a,1\n");
  options.missing = MissingValues::kMean;
  prepare_csv(options, common_);
  const CsvEncoding encoding(hdf5::File::open(common_.output).text("/", "encoding").value());
  const auto encode = [&](const std::string& text) {
    save_text(folder_.file("new.csv"), text);
    const CsvTable table = CsvTable::read(folder_.file("new.csv"), {});
    const Tensor x = encoding.encode(table, std::vector<std::int64_t>{0});
    return std::vector<float>(x.span<float>().begin(), x.span<float>().end());
  };
  EXPECT_EQ(encode("s,extra,n\nb,0,NA\n"), (std::vector<float>{2, 0, 1}));
  EXPECT_EQ(encode("s,n\n,7\n"), (std::vector<float>{7, 1, 0}));
  EXPECT_THAT(error_of([&] { encode("s,n\nc,1\n"); }),
              HasSubstr("new.csv, line 2, column 's': 'c' is not among the 2 known categories"));
  EXPECT_THAT(error_of([&] { encode("n\n1\n"); }), HasSubstr("no column 's' (an input)"));
  EXPECT_EQ(CsvEncoding(encoding.json()).json(), encoding.json());
  for (const char* damaged : {"", "{}", "[]", R"({"columns":[{"name":"a","kind":"x"}]})",
                              R"({"columns":[{"name":"a","kind":"number","fill":"x"}]})",
                              R"({"columns":[{"name":"a","kind":"one-hot"}]})"})
    EXPECT_THAT(error_of([&] { CsvEncoding{std::string(damaged)}; }), HasSubstr("damaged CSV"))
        << damaged;
}

TEST_F(Prepare, CsvTakesNoMoreMemoryThanItMay) {
  std::string text = "n,s,w,y\n";
  for (int row = 0; row < 3000; ++row)
    text += fmt::format("{},{},{},{}\n", row % 7 == 3 ? "" : std::to_string(row * row),
                        row % 3 == 0 ? "left" : "right", row % 5, row % 2 == 0 ? "a" : "b");
  CsvPrepareOptions options = csv(text);
  options.weight = "w";
  options.missing = MissingValues::kMean;
  common_.test = Portion::of_fraction(0.2);
  prepare_csv(options, common_);
  const std::string checksum = h5py("f.attrs['checksum'], f.attrs['encoding']");
  common_.write.force = true;
  common_.write.max_memory = 256 << 10;  // the text's cells and values would be 400 KiB
  prepare_csv(options, common_);
  EXPECT_EQ(h5py("f.attrs['checksum'], f.attrs['encoding']"), checksum);
  common_.write.max_memory = 60'000;
  EXPECT_THAT(
      error_of([&] { prepare_csv(options, common_); }),
      AllOf(HasSubstr("data.csv: --max-memory 60000"), HasSubstr("lists of its 3000 rows")));
}

TEST_F(Prepare, CsvErrorsNameTheLineOrTheColumns) {
  const std::string text = "a,b,y\n1,2,0\n3,x,1\n5,6,1\n";
  CsvPrepareOptions options = csv(text);
  EXPECT_THAT(csv_error(options), AllOf(HasSubstr("data.csv, line 3, column 'b'"),
                                        HasSubstr("'x' is no finite number")));
  options.exclude = {"b"};
  options.targets = {"price"};
  EXPECT_THAT(csv_error(options),
              HasSubstr("no column 'price' (the target); the columns are: a, b, y"));
  options.targets = {};
  EXPECT_THAT(csv_error(options), HasSubstr("--target; the columns are: a, b, y"));
  options.targets = {"y", "a"};
  EXPECT_THAT(csv_error(options), HasSubstr("no columns are left"));
  options.exclude = {};
  options.categorical = {"b"};
  EXPECT_THAT(csv_error(options), HasSubstr("2 targets; classification has one"));
  options.targets = {"y"};
  options.exclude = {"y"};
  EXPECT_THAT(csv_error(options), HasSubstr("column 'y' is named twice"));
  options.exclude = {"b"};
  EXPECT_THAT(csv_error(options), HasSubstr("column 'b' is categorical but no input"));
  EXPECT_THAT(csv_error(csv("a,y\n1,0.5\n2,1.5\n")), HasSubstr("--task regression"));
  EXPECT_THAT(csv_error(csv("a,y\n1,0\n2,0\n")), HasSubstr("one class alone"));
  EXPECT_THAT(csv_error(csv("a,y\n,0\n,1\n")), HasSubstr("missing value"));
  EXPECT_THAT(csv_error(csv("a,y\n1e39,0\n2,1\n")), HasSubstr("line 2, column 'a'"));
  options = csv("a,y\n,0\n,1\n");
  options.missing = MissingValues::kDrop;
  EXPECT_THAT(csv_error(options), HasSubstr("every row has a missing value"));
  options.missing = MissingValues::kMean;
  EXPECT_THAT(csv_error(options), HasSubstr("column 'a' has no values"));
  options = csv("a,y\n1,\n2,1\n");
  options.missing = MissingValues::kMean;
  EXPECT_THAT(csv_error(options), HasSubstr("line 2, column 'y': missing value; a mean can fill"));
  options = csv("a,y\n1,one\n2,two\n");
  options.task = Task::kRegression;
  EXPECT_THAT(csv_error(options), HasSubstr("line 2, column 'y'"));
  options = csv("a,w,y\n1,1,0\n2,-1,1\n");
  options.weight = "w";
  EXPECT_THAT(csv_error(options), HasSubstr("line 3, column 'w': a weight of -1 is negative"));
  options.file = folder_.file("absent.csv");
  EXPECT_THAT(csv_error(options), HasSubstr("absent.csv: cannot open"));
}

TEST_F(Prepare, WideTablesKeepTheirStatistics) {  // attributes beyond 64 KB
  std::string head = "y", first = "\n0", second = "\n1";
  for (int column = 0; column < 9000; ++column) {
    head += fmt::format(",c{}", column);
    first += fmt::format(",{}", column);
    second += fmt::format(",{}", column + 2);
  }
  prepare_csv(csv(head + first + second + "\n"), common_);
  EXPECT_EQ(h5py("f.attrs['mean'][8999], f.attrs['std'].sum(), f.attrs['columns'][8999]"),
            "(9000.0, 9000.0, 'c8999')");
}

std::string idx(std::initializer_list<std::uint32_t> sizes, const std::string& values) {
  std::string text = {0, 0, 8, static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(size >> shift);
  return text + values;
}

TEST_F(Prepare, IdxWithATestPartOfItsOwn) {
  const auto save = [&](const std::string& name, const std::string& text) {
    save_text(folder_.file(name), text);
    return folder_.file(name);
  };
  IdxOptions options;
  options.images = save("images", idx({4, 2, 1}, "abcdefgh"));
  options.labels = save("labels", idx({4}, {0, 2, 2, 0}));
  options.test_images = save("test-images", idx({1, 2, 1}, "xy"));
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }), HasSubstr("or neither"));
  options.test_labels = save("test-labels", idx({1}, {3}));
  common_.validation = Portion::of_count(2);
  prepare_idx(options, common_);
  EXPECT_EQ(h5py("sorted(f), f['test/x'][:].tolist(), f['test/y'][:].tolist(), "
                 "f['validation/y'][:].tolist(), list(f.attrs['classes'])"),
            "(['test', 'train', 'validation'], [[[[120]], [[121]]]], [3], [0, 2], "
            "['0', '1', '2', '3'])");
  EXPECT_EQ(h5py("f.attrs['source']"), "idx: images, labels, test-images, test-labels");

  common_.write.force = true;
  common_.test = Portion::of_count(1);
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }), HasSubstr("leave out --test"));
  common_.test.reset();
  options.classes = {"a", "b", "c"};
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }),
              HasSubstr("test-labels: label 3 in row 0, but 3 classes are named"));
  options.labels = save("labels", idx({3}, {0, 1, 2}));
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }),
              AllOf(HasSubstr("holds 4 images"), HasSubstr("holds 3 labels")));
  options.labels = options.images;
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }), HasSubstr("magic number"));
}

TEST_F(Prepare, IdxOfAFolder) {
  const auto save = [&](const std::string& name, const std::string& text) {
    save_text(folder_.file(name), text);
  };
  IdxOptions options;
  options.images = folder_.path();
  save("train-images-idx3-ubyte", idx({4, 2, 1}, "abcdefgh"));
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }),
              HasSubstr("train-labels-idx1-ubyte.gz: not found"));
  save("train-labels.idx1-ubyte", idx({4}, {0, 1, 1, 0}));
  prepare_idx(options, common_);
  EXPECT_EQ(h5py("sorted(f), f.attrs['source']"),
            "(['train'], 'idx: train-images-idx3-ubyte, train-labels.idx1-ubyte')");
  common_.write.force = true;
  save("t10k-images-idx3-ubyte", idx({1, 2, 1}, "xy"));
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }),
              HasSubstr("their labels are missing"));
  save("t10k-labels-idx1-ubyte", idx({1}, {1}));
  prepare_idx(options, common_);
  EXPECT_EQ(h5py("sorted(f), f['test/x'][:].tolist()"),
            "(['test', 'train'], [[[[120]], [[121]]]])");
  options.labels = "labels";
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }), HasSubstr("name none beside it"));
  options = {};
  options.images = folder_.file("train-images-idx3-ubyte");
  EXPECT_THAT(error_of([&] { prepare_idx(options, common_); }),
              HasSubstr("name the file of the labels too"));
}

TEST_F(Prepare, FashionMnistNamesItsPackage) {
  EXPECT_THAT(error_of([&] { prepare_fashion_mnist({folder_.path()}, common_); }),
              HasSubstr("apt-get install dataset-fashion-mnist"));
}

TEST_F(Prepare, FashionMnistFromDebiansFiles) {
  const FashionMnistOptions options;
  if (!std::filesystem::exists(options.folder)) GTEST_SKIP() << "needs dataset-fashion-mnist";
  common_.validation = Portion::of_count(5000);
  prepare_fashion_mnist(options, common_);
  EXPECT_EQ(h5py("f['train/x'].shape, f['validation/x'].shape, f['test/x'].shape, "
                 "numpy.bincount(f['validation/y'][:]).tolist(), f.attrs['classes'][9]"),
            "((55000, 28, 28, 1), (5000, 28, 28, 1), (10000, 28, 28, 1), "
            "[500, 500, 500, 500, 500, 500, 500, 500, 500, 500], 'Ankle boot')");
}

}  // namespace
}  // namespace lockstep
