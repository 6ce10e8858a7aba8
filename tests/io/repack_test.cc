// Repacking: foreign files and ours become files that h5py reads, with the same contents; and the
// options that every kind of `prepare` has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/base/file.h"
#include "io/prepare/prepare.h"
#include "io/prepare/synthetic.h"
#include "tests/io/python.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Repack : public ::testing::Test {
 protected:
  Repack() {
    options_.file = folder_.file("in.h5");
    common_.output = folder_.file("out.h5");
    common_.write.force = true;
  }
  // Runs Python with i, the file to read, open for change.
  void make_input(const std::string& code) const {
    python_output("import h5py, numpy as np\nr = np.random.default_rng(7)\ni = h5py.File('" +
                  options_.file + "', 'w')\n" + code);
  }
  // Runs Python with i and o, both files.
  std::string python(const std::string& code) const {
    return python_output("import h5py, numpy as np\ni = h5py.File('" + options_.file +
                         "')\no = h5py.File('" + common_.output + "')\n" + code);
  }
  std::string repack_error() const {
    return error_of([&] { prepare_repack(options_, common_); });
  }

  ScratchFolder folder_;
  RepackOptions options_;
  PrepareOptions common_;
};

TEST_F(Repack, AForeignFileWithChunksAcrossRows) {
  make_input(
      "i.create_dataset('a/images', data=r.integers(0, 256, (70, 3, 8, 9), 'u1'),\n"
      "                 chunks=(13, 1, 4, 4), compression=1, shuffle=True)\n"
      "i['a/labels'] = r.integers(0, 4, 70).astype('>i2')\n"
      "i['a/held'] = r.integers(0, 256, (11, 3, 8, 9), 'u1')\n"
      "i['a/held_labels'] = r.integers(0, 5, 11)\n");
  options_.x = "/a/images";
  options_.y = "/a/labels";
  options_.test_x = "/a/held";
  options_.test_y = "/a/held_labels";
  options_.axes = DataSource::Axes::kNchw;
  // The chunks of a row are kept: 18 of 13 · 16 bytes. Two rows, and the order of all, come to
  // 1096.
  common_.write.max_memory = 4096;
  EXPECT_THAT(repack_error(), AllOf(HasSubstr("--max-memory 4096: 4840 bytes are needed"),
                                    HasSubstr("beside 3744 that reading the source takes")));
  common_.write.max_memory = 4840;
  prepare_repack(options_, common_);
  EXPECT_EQ(
      python("assert np.array_equal(o['train/x'], i['a/images'][:].transpose(0, 2, 3, 1))\n"
             "assert np.array_equal(o['train/y'], i['a/labels'][:])\n"
             "assert np.array_equal(o['test/x'], i['a/held'][:].transpose(0, 2, 3, 1))\n"
             "assert o['train/x'].chunks is None and o['train/x'].id.get_offset() is not None\n"
             "x = o['train/x'][:] / 255\n"
             "assert abs(o.attrs['mean'] - x.mean((0, 1, 2))).max() < 1e-12\n"
             "assert abs(o.attrs['std'] - x.std((0, 1, 2))).max() < 1e-12\n"
             "print(o.attrs['task'], list(o.attrs['classes']), o.attrs['source'])\n"),
      "classification ['0', '1', '2', '3', '4'] repack: in.h5\n");
}

TEST_F(Repack, OursKeepsChecksumAndDescriptionInEveryForm) {
  PrepareOptions made;
  made.output = options_.file;
  made.validation = Portion::of_count(50);
  made.test = Portion::of_fraction(0.2);
  prepare_linear({.rows = 500, .features = 5}, made);
  const std::string checksum = file_checksum(options_.file);
  const DatasetWriteOptions forms[] = {
      {},
      {.chunk_rows = 3},
      {.chunk_rows = 64, .compress = 9, .max_memory = 8192},
      {.compress = 1},
      {.chunk_rows = 7, .chunk_sample = {2}, .compress = 1},
  };
  for (std::size_t form = 0; form < std::size(forms); ++form) {
    common_.write = forms[form];
    common_.output = folder_.file(fmt::format("{}.h5", form));
    prepare_repack(options_, common_);
    EXPECT_EQ(file_checksum(common_.output), checksum);
  }
  EXPECT_EQ(python("for form in range(5):\n"
                   "    o = h5py.File(o.filename[:-4] + f'{form}.h5')\n"
                   "    for name in ('train', 'validation', 'test'):\n"
                   "        for array in 'xy':\n"
                   "            assert np.array_equal(i[name][array], o[name][array])\n"
                   "    assert all(np.array_equal(o.attrs[k], v) for k, v in i.attrs.items())\n"
                   "    print(o['train/x'].chunks, o['train/x'].compression_opts)\n"),
            "None None\n(3, 5) None\n(64, 5) 9\n(350, 5) 1\n(7, 2) 1\n");
}

TEST_F(Repack, AShuffledFileHoldsTheSameRowsWhateverTheMemory) {
  make_input(
      "i.create_dataset('x', data=np.arange(3000.).reshape(1000, 3), chunks=(64, 3))\n"
      "i['y'] = np.arange(1000) % 7\ni['weight'] = np.arange(1000) / 8\n");
  options_.shuffle = true;
  common_.seed = 5;
  prepare_repack(options_, common_);
  const std::string first = read_text(common_.output);
  common_.write.max_memory = 8 * 1000 + 200;
  prepare_repack(options_, common_);
  EXPECT_EQ(read_text(common_.output), first);
  python(
      "rows = o['train/x'][:, 0].astype(int) // 3\n"
      "assert sorted(rows) == list(range(1000)) and abs(np.corrcoef(rows, range(1000))[0, 1]) < "
      ".1\n"
      "assert np.array_equal(o['train/x'], i['x'][:][rows])\n"
      "assert np.array_equal(o['train/y'], i['y'][:][rows])\n"
      "assert np.array_equal(o['train/weight'], i['weight'][:][rows].astype('f4'))\n");
  common_.seed = 6;
  prepare_repack(options_, common_);
  EXPECT_NE(read_text(common_.output), first);
}

TEST_F(Repack, PartsAreCutFromTheTrainingPartAlone) {
  make_input("i['x'] = np.arange(200.).reshape(100, 2)\ni['y'] = np.arange(100.)\n");
  common_.validation = Portion::of_fraction(0.3);
  prepare_repack(options_, common_);
  python(
      "assert len(o['train/x']) == 70 and len(o['validation/x']) == 30 and 'test' not in o\n"
      "assert o.attrs['task'] == 'regression' and o['train/y'].shape == (70, 1)\n"
      "assert abs(o.attrs['mean'] - o['train/x'][:].astype(float).mean(0)).max() < 1e-9\n");
  options_.file = common_.output;
  common_.output = folder_.file("again.h5");
  EXPECT_THAT(repack_error(), AllOf(HasSubstr("validation part of its own (30 rows)"),
                                    HasSubstr("leave out --validation")));
}

TEST_F(Repack, BadInputIsNamed) {
  EXPECT_THAT(repack_error(), HasSubstr("in.h5"));
  make_input("i['x'] = np.array([[1., 2.], [3., np.inf]])\ni['y'] = [0, 1]\ni['z'] = ['a', 'b']\n");
  EXPECT_THAT(repack_error(), AllOf(HasSubstr("'/x'"), HasSubstr("row 1, column 1")));
  options_.x = "/absent";
  EXPECT_THAT(repack_error(), HasSubstr("no dataset '/absent'"));
  options_.x = "/z";
  EXPECT_THAT(repack_error(), HasSubstr("must be integers or floats"));
  EXPECT_FALSE(std::filesystem::exists(common_.output));
  EXPECT_FALSE(std::filesystem::exists(common_.output + ".partial"));
}

TEST_F(Repack, KindsThatReadTextSayHowMuchMemoryTheyNeed) {
  save_text(folder_.file("a.csv"), "a,y\n1,0\n2,1\n");
  CsvPrepareOptions csv;
  csv.file = folder_.file("a.csv");
  csv.targets = {"y"};
  common_.write.max_memory = 100;
  EXPECT_THAT(error_of([&] { prepare_csv(csv, common_); }),
              AllOf(HasSubstr("a.csv: --max-memory 100: 140 bytes are needed"),
                    HasSubstr("a block of the text (92 bytes)"), HasSubstr("2 rows")));
  const DigitsOptions digits{folder_.file("digits.csv")};
  save_text(
      digits.file, "label" + [] {
        std::string header, row = "\n7";
        for (int i = 0; i < 64; ++i) {
          header += fmt::format(",p{}", i);
          row += ",3";
        }
        return header + row + "\n";
      }());
  EXPECT_THAT(
      error_of([&] { prepare_digits(digits, common_); }),
      AllOf(HasSubstr("digits.csv"), HasSubstr("in memory as a whole"), HasSubstr("allows 100")));
}

}  // namespace
}  // namespace lockstep
