// The contact sheet, duplicates, and the linter on files with one flaw each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/base/file.h"
#include "io/formats/png.h"
#include "io/images/decode.h"
#include "io/inspection/contact_sheet.h"
#include "io/inspection/data_check.h"
#include "io/inspection/summary.h"
#include "io/prepare/synthetic.h"
#include "tests/io/python.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Inspection : public ::testing::Test {
 protected:
  // A file written by h5py, which is open as f.
  void make(const std::string& code) const {
    python_output("import h5py, numpy as np\nr = np.random.default_rng(3)\nf = h5py.File('" +
                  path() + "', 'w')\n" + code);
  }
  // As make(), of a file that has no flaw until `code` gives it one.
  void make_flawed(const std::string& code) const {
    make(
        "def new(path):\n"
        "    f = h5py.File(path, 'w')\n"
        "    f['train/x'] = r.normal(size=(2000, 4)).astype('f4')\n"
        "    f['train/y'] = np.arange(2000) % 3\n"
        "    f['test/x'] = r.normal(size=(50, 4)).astype('f4')\n"
        "    f['test/y'] = np.arange(50) % 3\n"
        "    return f\n"
        "def change(name, value):\n    del f[name]\n    f[name] = value\n"
        "f.close()\nf = new('" +
        path() + "')\n" + code);
  }
  std::string findings() const { return findings(path()); }
  static std::string findings(const std::string& file) {
    return findings(std::vector<std::string>{file});
  }
  static std::string findings(const std::vector<std::string>& files) {
    std::string text;
    for (const Finding& finding : check_data(check_of_files(files)))
      text += finding_line(finding) + "\n";
    return text;
  }
  std::string flawed(std::size_t i) const { return folder_.file(fmt::format("flaw{}.h5", i)); }
  std::string path() const { return folder_.file("data.h5"); }
  std::string png() const { return folder_.file("sheet.png"); }

  ScratchFolder folder_;
};

// zlib undoes the picture's rows; libpng made it, and reads the same pixels back.
TEST_F(Inspection, TheContactSheetShowsImagesOfEachClassInItsRow) {
  make(
      "y = np.arange(40) % 4\n"
      "f['train/x'] = (np.ones((40, 14, 14, 1)) * (40 + 50 * y)[:, None, None, "
      "None]).astype('u1')\n"
      "f['train/y'] = y\n");
  const std::string line =
      write_contact_sheet({.source = {.file = path(), .group = "/train"}, .count = 3}, png());
  EXPECT_THAT(line, HasSubstr("12 of 40 images, 4 of 4 classes"));
  const Tensor sheet = read_image(png(), 3);
  // Images of 14 pixels enlarged to 56, a gap of 4, a caption of one letter of 12 and two gaps.
  ASSERT_EQ(sheet.shape(), Shape({4 + 4 * 60, 20 + 3 * 60, 3}));
  const auto pixel = [&](std::int64_t y, std::int64_t x) {
    return static_cast<int>(sheet.data<std::uint8_t>()[(y * sheet.shape()[1] + x) * 3]);
  };
  for (std::int64_t label = 0; label < 4; ++label)
    for (std::int64_t image = 0; image < 3; ++image) {
      const std::int64_t top = 4 + 60 * label, left = 20 + 60 * image;
      EXPECT_EQ(pixel(top, left), 40 + 50 * label);
      EXPECT_EQ(pixel(top + 55, left + 55), 40 + 50 * label);
      EXPECT_EQ(pixel(top + 56, left), 255);
      EXPECT_EQ(pixel(top, left + 56), 255);
    }
  python_output(
      "import struct, zlib\n"
      "b, at, data = open('" +
      png() +
      "', 'rb').read(), 8, b''\n"
      "while at < len(b):\n"
      "    n, kind = struct.unpack('>I4s', b[at:at + 8])\n"
      "    assert zlib.crc32(b[at + 4:at + 8 + n]) == struct.unpack('>I', b[at + 8 + n:at + 12 + "
      "n])[0]\n"
      "    if kind == b'IHDR': w, h, depth, colour = struct.unpack('>IIBB', b[at + 8:at + 18])\n"
      "    if kind == b'IDAT': data += b[at + 8:at + 8 + n]\n"
      "    at += 12 + n\n"
      "assert (w, h, depth, colour) == (200, 244, 8, 2) and len(zlib.decompress(data)) == h * (3 * "
      "w + 1)\n");
  const std::string first = read_text(png());
  write_contact_sheet({.source = {.file = path(), .group = "/train"}, .count = 3}, png());
  EXPECT_EQ(read_text(png()), first);
}

TEST_F(Inspection, TheContactSheetAveragesLargeImagesAndStretchesFloats) {
  make(
      "x = np.zeros((3, 3, 300, 200), 'f4')\nx[:, 0] = 1\nx[:, 1, ::2] = -1\n"
      "f['images'] = x\nf['values'] = [.5, .25, .125]\n");
  const DataSource source{
      .file = path(), .group = "", .x = "/images", .y = "/values", .axes = DataSource::Axes::kNchw};
  EXPECT_THAT(write_contact_sheet({.source = source}, png()),
              AllOf(HasSubstr("3 of 3 images"), HasSubstr("from -1 (black) to 1 (white)")));
  const Tensor sheet = read_image(png(), 3);
  ASSERT_EQ(sheet.shape()[0], 4 + 100 + 4);  // three pixels of the image to one
  const std::uint8_t* const first =
      sheet.data<std::uint8_t>() + (4 * sheet.shape()[1] + sheet.shape()[1] - 4 - 67) * 3;
  EXPECT_EQ(first[0], 255);
  EXPECT_NEAR(first[1], 42.5, 0.5);  // the mean of -1, 0, -1
  EXPECT_EQ(first[2], 128);
}

TEST_F(Inspection, WhatIsNoImageIsRefused) {
  make_flawed("");
  EXPECT_THAT(error_of([&] {
                write_contact_sheet({.source = {.file = path(), .group = "/train"}}, png());
              }),
              HasSubstr("(4)"));
  EXPECT_FALSE(std::filesystem::exists(png()));
}

TEST_F(Inspection, TheSummaryDrawsClassesAndFindsRowsInTwoParts) {
  make_flawed(
      "f['test/x'][7] = f['train/x'][31]\nf['test/x'][9] = f['train/x'][4]\n"
      "change('train/y', np.array([0] * 300 + [1] * 1690 + [2] * 10))\n");
  const std::string text = dataset_summary(path());
  EXPECT_THAT(text, HasSubstr("2 of /test's 50 rows stand in /train too: /test row 7 = /train row "
                              "31, /test row 9 = /train row 4\n"));
  EXPECT_THAT(text, HasSubstr("0           300       17  ######\n"));
  EXPECT_THAT(text, HasSubstr("1          1690       17  ##############################\n"));
  EXPECT_THAT(text, HasSubstr("2            10       16  #\n"));
}

TEST_F(Inspection, AFileWithoutFlawsIsClean) {
  make_flawed("");
  EXPECT_THAT(findings(), IsEmpty());
  std::filesystem::remove(path());
  PrepareOptions common;
  common.output = path();
  common.test = Portion::of_fraction(0.2);
  prepare_images({.rows = 200, .classes = 4, .shape = {6, 6, 3}}, common);
  EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(Inspection, EachFlawIsFoundAndNamesItsCure) {
  const std::pair<const char*, ::testing::Matcher<std::string>> flaws[] = {
      {"f['train/y'][5] = -2\n",
       AllOf(HasSubstr("error: /train/y: row 5 holds the label -2"), HasSubstr("1 such row;"))},
      {"f['train/x'][3, 2] = np.nan\nf['train/x'][9, 2] = np.inf\n",
       HasSubstr("error: /train/x: NaN in row 3, column 2; 1 NaN and 1 infinite or beyond float32 "
                 "in 2 rows")},
      {"change('train/x', f['train/x'][:].astype('f8'))\nf['train/x'][6, 1] = 1e300\n",
       HasSubstr("error: /train/x: 1e+300 in row 6, column 1; 1 infinite or beyond float32")},
      {"f['test/x'][3, 1] = -np.inf\n",
       AllOf(HasSubstr("error: /test/x: an infinity in row 3, column 1"),
             Not(HasSubstr("NaN in row")))},
      {"f['test/y'][7] = 5\n",
       AllOf(HasSubstr("error: /test/y: row 7 holds the label 5, but the training part has 3 "
                       "classes (0 to 2); 1 such row; "),
             HasSubstr("set model.outputs"))},
      {"change('train/y', np.eye(3, dtype=int)[np.arange(2000) % 3])\nf['test/y'][8] = 4\n",
       HasSubstr("error: /test/y: row 8 holds the label 4, but the training part has 3 classes")},
      {"change('train/y', np.eye(3, dtype=int)[np.arange(2000) % 3])\nf['train/y'][1500] = 1\n",
       HasSubstr("error: /train/y: row 1500 does not hold a single 1")},
      {"change('test/x', r.normal(size=(50, 5)).astype('f4'))\n",
       HasSubstr("error: /test/x: samples of (5), but those of train are (4)")},
      {"change('test/x', r.integers(0, 9, size=(50, 4)))\n",
       HasSubstr("error: /test/x: int64, but those of train are float32")},
      {"change('test/y', r.normal(size=(50, 2)))\n",
       HasSubstr("error: /test/y: 2 values a row, but train has class labels")},
      {"del f['test/y']\n", HasSubstr("error: test: there is no y, so nothing can be measured")},
      {"f['train/x'][:, 1] = 7\n", HasSubstr("warning: /train/x: column 1 never changes")},
      {"f['train/x'][:, 3] = 1000 + f['train/x'][:, 3]\n",
       AllOf(HasSubstr("column 3 (mean 1000"), HasSubstr("lockstep prepare repack"))},
      {"f['train/x'][0, 0] = 1e6\n",
       HasSubstr("column 0 (45 deviations) holds a value far from its mean")},
      {"change('train/y', np.array([0] * 1900 + [1] * 50 + [3] * 50))\n",
       AllOf(HasSubstr("no row of class 2"), HasSubstr("1900 rows of class 0, but 50 of class 1"),
             HasSubstr("loss.class_weights = [0.3509, 13.33, 1, 13.33]"))},
      {"change('train/y', np.zeros(2000, int))\n",
       HasSubstr("error: /train/y: every row is of class 0")},
      {"change('train/y', (np.arange(2000) % 3).astype('f4'))\n",
       HasSubstr("whole numbers from 0 to 2; training takes them for values")},
      {"change('train/x', f['train/x'][:].astype('>f8'))\n",
       AllOf(HasSubstr("float64, big-endian is converted"), HasSubstr("prepare repack"))},
      {"x = f['train/x'][:]\ndel f['train/x']\n"
       "f.create_dataset('train/x', data=x, chunks=(100, 2), compression=1)\n",
       AllOf(HasSubstr("chunked (100, 2), deflate"), HasSubstr("as 100 rows hold"))},
      {"x = f['train/x'][:]\ndel f['train/x']\n"
       "f.create_dataset('train/x', data=x, chunks=(2, 4), compression=1)\n",
       HasSubstr("every epoch decodes it anew")},
      {"f['test/x'][1] = f['train/x'][2]\n",
       AllOf(HasSubstr("warning: test: 1 of 50 rows stand in train too"),
             HasSubstr("test row 1 = train row 2"))},
      {"f['train/x'][2, 1] = np.nan\nf['test/x'][1] = f['train/x'][2]\n",
       AllOf(HasSubstr("NaN in row 2"), HasSubstr("test row 1 = train row 2"))},
      {"f['train/x'][1000:] = f['train/x'][:1000]\n", HasSubstr("1000 of 2000 rows repeat")},
      {"f['train/weight'] = np.zeros(2000)\n", HasSubstr("all weights are 0")},
      {"f['train/weight'] = np.arange(2000.) - 1\n",
       HasSubstr("error: /train/weight: row 0 holds a weight that is negative")},
      {"del f['train/y']\n", HasSubstr("error: train: there is no y")},
      {"change('train/y', np.arange(1999) % 3)\n", HasSubstr("1999 rows, but '/train/x' has 2000")},
  };
  std::string code;  // one Python makes all files, for starting it takes longest
  for (std::size_t i = 0; i < std::size(flaws); ++i)
    code += fmt::format("f = new('{}')\n{}f.close()\n", flawed(i), flaws[i].first);
  make_flawed(code);
  for (std::size_t i = 0; i < std::size(flaws); ++i)
    EXPECT_THAT(findings(flawed(i)), flaws[i].second) << flaws[i].first;
}

TEST_F(Inspection, WhatAFileSaysOfItselfIsCompared) {
  PrepareOptions common;
  common.output = path();
  prepare_blobs({.rows = 90}, common);
  EXPECT_THAT(findings(), IsEmpty());
  const std::pair<const char*, ::testing::Matcher<std::string>> changes[] = {
      {"f['train/x'][4, 0] = 1\n",
       AllOf(HasSubstr("the file changed since it was prepared"), HasSubstr("prepare it again"))},
      {"f['train/x'][4, 0] = float('nan')\n",
       AllOf(HasSubstr("NaN in row 4"), HasSubstr("its checksum was not compared, for the rows "))},
      {"f['train/y'][8] = 3\n",
       HasSubstr("row 8 holds the label 3, but there are 3 classes (0 to 2)")},
      {"f.attrs['mean'] = [0.0]\n",
       HasSubstr("2 columns or channels, but 1 means and 2 deviations")},
      {"f.attrs['mean'] = [900.0, 0.0]\n", HasSubstr("a network sees column 'x0' (mean -")},
  };
  std::string code = "import h5py, shutil\n";
  for (std::size_t i = 0; i < std::size(changes); ++i)
    code += fmt::format("f = h5py.File(shutil.copy('{}', '{}'), 'a')\n{}f.close()\n", path(),
                        flawed(i), changes[i].first);
  python_output(code);
  for (std::size_t i = 0; i < std::size(changes); ++i)
    EXPECT_THAT(findings(flawed(i)), changes[i].second) << changes[i].first;
}

// Each file lacks classes and has a scale of its own; only both together are as they should be.
TEST_F(Inspection, SeveralFilesAreLookedAtAsOne) {
  const std::string first = flawed(0), second = flawed(1);
  const auto both = [&](const std::string& change) {
    make_flawed("f = new('" + first + "')\nchange('train/y', np.arange(2000) % 2)\n" +
                "f['train/x'][:, 1] = 2\nf.close()\nf = new('" + second +
                "')\nchange('train/y', np.full(2000, 2))\nf['train/x'][:, 1] = 0\n" + change +
                "f.close()\n");
    return findings({first, second});
  };
  EXPECT_THAT(both(""), IsEmpty());
  EXPECT_THAT(both("f['train/x'][3, 2] = np.nan\n"),
              HasSubstr("error: " + second + ": /train/x: NaN in row 3, column 2"));
  EXPECT_THAT(both("f['train/x'][:, 1] = 2\n"),
              HasSubstr("warning: /train/x of 2 files: column 1 never changes"));
  EXPECT_THAT(both("f['test/x'][1] = h5py.File('" + first + "')['train/x'][2]\n"),
              AllOf(HasSubstr("warning: test: 1 of 100 rows stand in train too"),
                    HasSubstr("test row 51 = train row 2")));
  EXPECT_THAT(both("change('train/y', np.full(2000, 20))\n"),
              HasSubstr("warning: /train/y of 2 files: no row of class 2, 3, 4"));
  EXPECT_THAT(both("del f['test/x']\n"), AllOf(HasSubstr("error: test: "), HasSubstr(second)));
}

}  // namespace
}  // namespace lockstep
