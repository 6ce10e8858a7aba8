// .npy: arrays that NumPy saved, of every type, order and version, read back; and bad files.
#include "io/formats/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/dataset/dataset.h"
#include "io/prepare/prepare.h"
#include "tests/io/python.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Npy : public ::testing::Test {
 protected:
  // Runs Python with numpy imported, in the folder.
  std::string python(const std::string& code) const {
    return python_output("import os, numpy as np\nos.chdir('" + folder_.path() + "')\n" + code);
  }
  std::string file(const std::string& name) const { return folder_.file(name); }
  std::string read_error(const std::string& name) const {
    return error_of([&] { NpyReader reader(file(name)); });
  }

  ScratchFolder folder_;
};

// One array of 37 rows of (3, 4), counted up, in every type, byte order, axis order and version.
TEST_F(Npy, EveryTypeOrderAndVersionReadsAlike) {
  const std::string names = python(
      "from numpy.lib import format\n"
      "a = np.arange(37 * 12).reshape(37, 3, 4)\n"
      "for t in '<f2 >f2 <f4 >f4 <f8 >f8 i1 <i2 >i2 <i4 >i4 <i8 >i8 u1 <u2 >u2 <u4 >u4 <u8 "
      ">u8'.split():\n"
      "    for order in 'CF':\n"
      "        for version in ((1, 0), (2, 0), (3, 0)):\n"
      "            name = f'{t[-2:]}{\"big\" if t[0] == \">\" else \"\"}{order}{version[0]}.npy'\n"
      "            with open(name, 'wb') as f:\n"
      "                format.write_array(f, np.asarray(a % 100, t, order=order), "
      "version=version)\n"
      "            print(name)\n");
  const std::vector<std::int64_t> rows = {36, 0, 1, 2, 20, 19, 5};
  std::size_t begin = 0, count = 0;
  for (std::size_t end = 0; (end = names.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string name = names.substr(begin, end - begin);
    const NpyReader reader(file(name));
    std::vector<float> values(rows.size() * 12);
    reader.read(rows, DType::kFloat32, std::as_writable_bytes(std::span(values)).data());
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], (rows[i / 12] * 12 + static_cast<std::int64_t>(i % 12)) % 100) << name;
    if (reader.is_integer()) {
      std::vector<std::int64_t> labels(values.size());
      reader.read(rows, DType::kInt64, std::as_writable_bytes(std::span(labels)).data());
      EXPECT_TRUE(std::equal(labels.begin(), labels.end(), values.begin())) << name;
    }
    ++count;
  }
  EXPECT_EQ(count, 20u * 2 * 3);
}

TEST_F(Npy, HalfFloatsAndBoolAreExact) {
  python(
      "np.save('half.npy', np.arange(65536, dtype='u2').view('f2'))\n"
      "np.save('bool.npy', np.array([True, False, True]))\n");
  const NpyReader half(file("half.npy"));
  std::vector<std::int64_t> rows(65536);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  const Tensor values = host_tensor({65536}, DType::kFloat32);
  half.read(rows, DType::kFloat32, values.raw());
  write_npy(file("back.npy"), values);
  python(
      "a = np.load('half.npy').astype('f4'); b = np.load('back.npy')\n"
      "assert np.array_equal(a, b, equal_nan=True)\n"
      "assert (np.signbit(a) == np.signbit(b))[~np.isnan(a)].all()\n");
  std::vector<std::int64_t> bits(3);
  NpyReader(file("bool.npy"))
      .read(std::vector<std::int64_t>{0, 1, 2}, DType::kInt64,
            std::as_writable_bytes(std::span(bits)).data());
  EXPECT_THAT(bits, ::testing::ElementsAre(1, 0, 1));
}

TEST_F(Npy, BadFilesAreNamed) {
  python(
      "np.savez('z.npz', a=np.zeros(3))\n"
      "np.save('complex.npy', np.zeros(3, complex))\n"
      "np.save('record.npy', np.zeros(3, [('a', 'f4')]))\n"
      "np.save('objects.npy', np.array([{}, None]), allow_pickle=True)\n"
      "np.save('good.npy', np.zeros((5, 2)))\n"
      "bytes = open('good.npy', 'rb').read()\n"
      "open('short.npy', 'wb').write(bytes[:-1])\n"
      "open('long.npy', 'wb').write(bytes + b'x')\n"
      "open('head.npy', 'wb').write(bytes[:40])\n"
      "open('new.npy', 'wb').write(bytes[:6] + b'\\x09' + bytes[7:])\n"
      "open('huge.npy', 'wb').write(bytes.replace(b'(5, 2), ', b'(9999999999, 9999999999)'[:8]))\n"
      "open('empty.npy', 'wb')\n");
  EXPECT_THAT(read_error("absent.npy"), HasSubstr("absent.npy"));
  EXPECT_THAT(read_error("empty.npy"), HasSubstr("no .npy file"));
  EXPECT_THAT(read_error("z.npz"), AllOf(HasSubstr("z.npz"), HasSubstr("no .npy file")));
  EXPECT_THAT(read_error("complex.npy"), HasSubstr("'<c16'"));
  EXPECT_THAT(read_error("objects.npy"), HasSubstr("'|O'"));
  EXPECT_THAT(read_error("record.npy"), HasSubstr("structured"));
  EXPECT_THAT(read_error("short.npy"), AllOf(HasSubstr("79 bytes"), HasSubstr("truncated")));
  EXPECT_THAT(read_error("long.npy"), HasSubstr("81 bytes"));
  EXPECT_THAT(read_error("head.npy"), HasSubstr("truncated"));
  EXPECT_THAT(read_error("new.npy"), HasSubstr("version 9.0"));
  EXPECT_NE(read_error("huge.npy"), "");
}

class PrepareNpy : public Npy {
 protected:
  PrepareNpy() { common_.output = file("out.h5"); }
  std::string prepare_error(NpyOptions options) {
    for (std::string* name : {&options.x, &options.y, &options.weight, &options.test_x,
                              &options.test_y, &options.test_weight})
      if (!name->empty()) *name = file(*name);
    const std::string message = error_of([&] { prepare_npy(options, common_); });
    EXPECT_EQ(std::filesystem::exists(common_.output), message.empty()) << message;
    return message;
  }

  PrepareOptions common_;
};

TEST_F(PrepareNpy, ArraysArriveAsTheyWere) {
  python(
      "r = np.random.default_rng(1)\n"
      "np.save('x.npy', np.asfortranarray(r.integers(0, 256, (90, 5, 6), 'u1')))\n"
      "np.save('y.npy', r.integers(0, 3, 90).astype('>u2'))\n"
      "np.save('w.npy', r.random(90))\n"
      "np.save('tx.npy', r.integers(0, 256, (20, 5, 6), 'u1'))\n"
      "np.save('ty.npy', np.eye(3, dtype=int)[r.integers(0, 3, 20)])\n"
      "np.save('tw.npy', np.ones((20, 1)))\n");
  common_.validation = Portion::of_count(30);
  common_.write.chunk_rows = 7;
  common_.write.compress = 4;
  common_.write.max_memory = 2000;
  ASSERT_EQ(prepare_error({.x = "x.npy",
                           .y = "y.npy",
                           .weight = "w.npy",
                           .test_x = "tx.npy",
                           .test_y = "ty.npy",
                           .test_weight = "tw.npy",
                           .classes = {"a", "b", "c"}}),
            "");
  EXPECT_EQ(
      python("import h5py\n"
             "f = h5py.File('out.h5')\n"
             "assert f['train/x'].shape == (60, 5, 6, 1) and f['train/x'].chunks == (7, 5, 6, 1)\n"
             "def rows(x, y, w): return sorted(zip(map(bytes, x), map(int, y), map(float, w)))\n"
             "both = [np.concatenate([f[g + n][:] for g in ('train/', 'validation/')])\n"
             "        for n in ('x', 'y', 'weight')]\n"
             "load = lambda n: np.load(n + '.npy')\n"
             "assert rows(*both) == rows(np.ascontiguousarray(load('x')), load('y'), "
             "load('w').astype('f4'))\n"
             "assert np.array_equal(f['test/x'][..., 0], load('tx'))\n"
             "assert np.array_equal(f['test/y'][:], load('ty').argmax(1))\n"
             "assert abs(f.attrs['std'][0] - (f['train/x'][:] / 255).std()) < 1e-12\n"
             "print(list(f.attrs['classes']), f['train/x'].compression_opts)\n"),
      "['a', 'b', 'c'] 4\n");
}

TEST_F(PrepareNpy, ValuesForRegression) {
  python("np.save('x.npy', np.arange(20.).reshape(10, 2)); np.save('y.npy', np.arange(10) / 8)\n");
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "y.npy"}), HasSubstr("--task regression"));
  ASSERT_EQ(prepare_error({.x = "x.npy", .y = "y.npy", .regression = true}), "");
  python("import h5py\nassert (h5py.File('out.h5')['train/y'][:, 0] == np.load('y.npy')).all()\n");
}

TEST_F(PrepareNpy, BadArraysAreNamed) {
  python(
      "np.save('x.npy', np.zeros((6, 2))); np.save('y.npy', np.arange(6) % 2)\n"
      "np.save('y5.npy', np.zeros(5, int)); np.save('neg.npy', np.arange(6) - 1)\n"
      "a = np.zeros((6, 2)); a[4, 1] = np.nan; np.save('nan.npy', a)\n"
      "np.save('big.npy', np.array([0, 1, 2**63, 0, 0, 0], 'u8'))\n"
      "np.save('scalar.npy', 3.0); np.save('w.npy', -np.ones(6)); np.save('none.npy', np.zeros((0, "
      "2)))\n"
      "np.save('seven.npy', np.zeros((6,) + (1,) * 6)); np.save('x3.npy', np.zeros((6, 3)))\n");
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "y5.npy"}),
              AllOf(HasSubstr("y5.npy: 5 rows"), HasSubstr("has 6")));
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "neg.npy"}), HasSubstr("row 0 holds the label -1"));
  EXPECT_THAT(prepare_error({.x = "nan.npy", .y = "y.npy"}),
              HasSubstr("row 4, column 1 holds NaN"));
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "big.npy"}), HasSubstr("9223372036854775808"));
  EXPECT_THAT(prepare_error({.x = "scalar.npy", .y = "y.npy"}), HasSubstr("0 axes"));
  EXPECT_THAT(prepare_error({.x = "seven.npy", .y = "y.npy"}), HasSubstr("7 axes"));
  EXPECT_THAT(prepare_error({.x = "none.npy", .y = "y.npy"}), HasSubstr("empty"));
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "y.npy", .weight = "w.npy"}),
              HasSubstr("weight -1"));
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "y.npy", .test_x = "x.npy"}),
              HasSubstr("--test-y"));
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "y.npy", .test_x = "x3.npy", .test_y = "y.npy"}),
              HasSubstr("different sets"));
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "y.npy", .classes = {"one"}}),
              HasSubstr("label 1"));
  common_.write.max_memory = 50;
  EXPECT_THAT(prepare_error({.x = "x.npy", .y = "y.npy"}), HasSubstr("--max-memory 50: 80 bytes"));
}

}  // namespace
}  // namespace lockstep
