// What `inspect` prints of our files and of other programs' files.
#include "io/inspection/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/hdf5/hdf5.h"
#include "io/prepare/prepare.h"
#include "tests/io/plain_file.h"
#include "tests/io/python.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class Summary : public ::testing::Test {
 protected:
  // The summary of what some lines of Python write into f.
  std::string of_h5py(const std::string& lines) const {
    python_output("import h5py, numpy\nf = h5py.File('" + path() + "', 'w')\n" + lines);
    return dataset_summary(path());
  }
  std::string path() const { return folder_.file("data.h5"); }
  ScratchFolder folder_;
};

TEST_F(Summary, OfAPreparedFile) {
  save_text(folder_.file("a.csv"), "n,s,y\n1,u,no\n2,v,yes\n6,u,yes\n");
  CsvPrepareOptions options;
  options.file = folder_.file("a.csv");
  options.targets = {"y"};
  PrepareOptions common;
  common.output = path();
  prepare_csv(options, common);
  const std::string checksum = hdf5::File::open(path()).text("/", "checksum").value();
  EXPECT_EQ(dataset_summary(path()),
            "file      data.h5\n"
            "kind      lockstep dataset\n"
            "task      classification, 2 classes\n"
            "source    csv: a.csv\n"
            "checksum  " +
                checksum +
                " (as stored)\n"
                "\n"
                "dataset   shape   type     layout      min  max      mean       std  NaN\n"
                "/train/x  (3, 3)  float32  contiguous    0    6   1.33333   1.76383    0\n"
                "/train/y  (3)     int64    contiguous    0    1  0.666667  0.471405    0\n"
                "\n"
                "class  /train/y\n"
                "0 no          1  ###############\n"
                "1 yes         2  ##############################\n"
                "\n"
                "of the training part, applied by the loader (uint8 as x/255)\n"
                "column      mean       std\n"
                "n              3   2.16025\n"
                "s=u     0.666667  0.471405\n"
                "s=v     0.333333  0.471405\n");
}

TEST_F(Summary, ShowsThatContentsChanged) {
  PrepareOptions common;
  common.output = path();
  save_text(folder_.file("a.csv"), "n,y\n1,0\n2,1\n");
  CsvPrepareOptions options;
  options.file = folder_.file("a.csv");
  options.targets = {"y"};
  prepare_csv(options, common);
  python_output("import h5py\nf = h5py.File('" + path() + "', 'a')\nf['train/x'][0] = 9\n");
  EXPECT_THAT(dataset_summary(path()), HasSubstr("the contents changed since they were prepared"));
}

TEST_F(Summary, OfForeignFiles) {
  const std::string text = of_h5py(
      "f['a/images'] = numpy.arange(24, dtype='>u2').reshape(2, 3, 4)\n"
      "f['a/labels'] = numpy.array([2, 0, 2], 'i1')\n"
      "f['c'] = numpy.array([1.5, numpy.nan, 2.5])\n"
      "f.create_dataset('packed', data=numpy.zeros((64, 8), 'f4'), chunks=(16, 8), compression=1)\n"
      "f['names'] = ['x', 'y']\nf['nothing'] = numpy.zeros((0, 3), 'f4')\nf['one'] = 7\n");
  EXPECT_THAT(text, HasSubstr("HDF5 file of another program"));
  EXPECT_THAT(text, HasSubstr("none (no group /train"));
  EXPECT_THAT(text, ContainsRegex("/a/images +\\(2, 3, 4\\) +uint16, big-endian .* 0 +23 +11.5"));
  EXPECT_THAT(text, ContainsRegex("/c .* 1.5 +2.5 +2 +0.5 +1\n"));
  EXPECT_THAT(text, ContainsRegex("/packed .*chunked \\(16, 8\\), deflate"));
  EXPECT_THAT(text, ContainsRegex("/names .*text.* - +- +- +- +-\n"));
  EXPECT_THAT(text, ContainsRegex("/nothing +\\(0, 3\\).* - +- +- +- +0\n"));
  EXPECT_THAT(text, ContainsRegex("/one .* 7 +7 +7 +0 +0\n"));
  EXPECT_THAT(text, HasSubstr("class  /a/labels"));
  EXPECT_THAT(text, ContainsRegex("\n2 +2  #+\n"));
}

TEST_F(Summary, ShowsWhatTrainingWouldRefuse) {
  const std::string text = of_h5py(
      "f['train/x'] = numpy.array([[1, numpy.nan], [2, 3]], 'f4')\n"
      "f['train/y'] = numpy.array([0, -1])\n");
  EXPECT_THAT(text,
              AllOf(HasSubstr("checksum  cannot be computed"), ContainsRegex("/train/x .* 1\n")));
  EXPECT_THAT(text, ContainsRegex("/train/y .* -1 +0 "));
}

TEST_F(Summary, SaysWhichClassesHaveNothingToTrainOn) {
  const auto of = [&](const std::string& validation) {
    return of_h5py(
        "f.attrs['classes'] = [f'c{i}' for i in range(3000)]\n"
        "y = numpy.arange(1200)\nf['train/x'] = y[:, None] * 1.0\nf['train/y'] = y\n" +
        validation + "f['validation/x'] = y[:, None] * 1.0\nf['validation/y'] = y\n");
  };
  EXPECT_THAT(of("y = numpy.arange(1190, 3000)\n"),
              HasSubstr("\n1800 of 3000 classes have no row in /train (c1200, c1201, c1202, c1203, "
                        "c1204, ...): "));
  EXPECT_THAT(of("y = numpy.arange(1190, 1201)\n"),
              HasSubstr("\n1 of 3000 classes has no row in /train (c1200): "));
  EXPECT_THAT(of(""), Not(HasSubstr("no row in /train")));
}

TEST_F(Summary, LargeValuesDoNotCancel) {
  EXPECT_THAT(of_h5py("f['x'] = 1e9 + numpy.arange(4.0)\n"), ContainsRegex(" 1.11803 +0\n"));
}

TEST_F(Summary, RefusesWhatIsNoHdf5File) {
  save_text(path(), "hello");
  EXPECT_THAT(error_of([&] { dataset_summary(path()); }), HasSubstr("not an HDF5 file"));
  EXPECT_THAT(error_of([&] { dataset_summary("/absent.h5"); }), HasSubstr("/absent.h5"));
}

}  // namespace
}  // namespace lockstep
