// Synthetic data: NumPy computes what each kind promises, from the file that h5py reads.
#include "io/prepare/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/base/file.h"
#include "tests/io/python.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Synthetic : public ::testing::Test {
 protected:
  Synthetic() { common_.output = folder_.file("out.h5"); }

  ScratchFolder folder_;
  PrepareOptions common_;
};

// Prepares one file after another and collects what Python is to ask of them: it starts once.
class Questions {
 public:
  // The options of the next file, which `code` sees as f, x and y, and later code by `name`.
  template <typename Prepare>
  void about(const std::string& name, const Prepare& prepare, const std::string& code) {
    PrepareOptions common;
    common.output = folder_.file(name + ".h5");
    prepare(common);
    script_ +=
        fmt::format("f = {0} = h5py.File('{1}')\nx, y = f['train/x'][:], f['train/y'][:]\n{2}",
                    name, common.output, code);
  }
  void ask() const { python_output("import h5py, numpy\n" + script_); }

 private:
  ScratchFolder folder_;
  std::string script_;
};

TEST(SyntheticKinds, AreWhatTheyPromise) {
  Questions all;
  using Common = const PrepareOptions&;
  all.about(
      "moons", [](Common to) { prepare_moons({.rows = 7, .noise = 0}, to); },
      "t = numpy.linspace(0, numpy.pi, 4), numpy.linspace(0, numpy.pi, 3)\n"
      "upper = numpy.stack([numpy.cos(t[0]), numpy.sin(t[0])], 1)\n"
      "lower = numpy.stack([1 - numpy.cos(t[1]), 1 - numpy.sin(t[1]) - .5], 1)\n"
      "assert y.tolist() == [0, 1, 0, 1, 0, 1, 0]\n"
      "assert abs(x[y == 0] - upper).max() < 1e-6 and abs(x[y == 1] - lower).max() < 1e-6\n");
  all.about(
      "still", [](Common to) { prepare_moons({.rows = 20000, .noise = 0}, to); }, "");
  all.about(
      "noisy", [](Common to) { prepare_moons({.rows = 20000, .noise = 0.2}, to); },
      "e = (x - still['train/x'][:]) / .2\n"
      "assert abs(e.mean()) < .02 and abs(e.std() - 1) < .02 and abs((e ** 4).mean() - 3) < .2\n"
      "assert abs((e[:, 0] * e[:, 1]).mean()) < .02\n");
  all.about(
      "spirals", [](Common to) { prepare_spirals({.rows = 600, .classes = 3, .noise = 0}, to); },
      "assert numpy.bincount(y).tolist() == [200] * 3\n"
      "for c in range(3):\n"
      "    r = numpy.linspace(0, 1, 200)\n"
      "    t = 2 * numpy.pi * c / 3 + 4 * r\n"
      "    arm = numpy.stack([r * numpy.sin(t), r * numpy.cos(t)], 1)\n"
      "    assert abs(x[y == c] - arm).max() < 1e-6\n");
  all.about(
      "blobs",
      [](Common to) {
        prepare_blobs({.rows = 9000, .classes = 3, .features = 4, .noise = 0.5}, to);
      },
      "centres = numpy.stack([x[y == c].mean(0) for c in range(3)])\n"
      "assert abs(centres).max() < 10.1 and len(set(centres.round(2).ravel())) == 12\n"
      "assert abs((x - centres[y]).std(0) - .5).max() < .02\n");
  all.about(
      "values",
      [](Common to) { prepare_linear({.rows = 5000, .features = 6, .regression = true}, to); },
      "w = f.attrs['truth']\n"
      "assert abs(x.mean(0)).max() < .06 and abs(x.std(0) - 1).max() < .05\n"
      "e = y[:, 0] - x @ w\n"
      "assert w.shape == (6,) and abs(e.std() - .1) < .01 and abs(e.mean()) < .01\n"
      "assert abs(numpy.linalg.lstsq(x, y[:, 0], rcond=None)[0] - w).max() < .01\n");
  all.about(
      "signs", [](Common to) { prepare_linear({.rows = 5000, .features = 6}, to); },
      "assert ((values['train/y'][:, 0] > 0) == (y == 1)).all()\n"
      "assert list(f.attrs['classes']) == ['-1', '+1']\n");
  all.about(
      "quadratic", [](Common to) { prepare_quadratic({.rows = 400}, to); },
      "assert x[0, 0] == -2 and x[-1, 0] == 2 and f.attrs['mean'] == 0 and f.attrs['std'] == 1\n"
      "assert abs(numpy.polyfit(x[:, 0], y[:, 0], 2) - f.attrs['truth']).max() < .03\n"
      "assert f.attrs['truth'].tolist() == [3, 2, 1] and f.attrs['task'] == 'regression'\n");
  // Least squares stands in for the best linear classifier.
  using Representation = BitPatternsOptions::Representation;
  all.about(
      "bits", [](Common to) { prepare_bit_patterns({.rows = 4000}, to); },
      "def linear_accuracy():\n"
      "    a = numpy.concatenate([x, numpy.ones((len(x), 1))], 1)\n"
      "    w = numpy.linalg.lstsq(a[:3000], 2. * y[:3000] - 1, rcond=None)[0]\n"
      "    return (((a @ w) > 0) == y)[3000:].mean()\n"
      "assert linear_accuracy() < .6, linear_accuracy()\n"
      "changes = (x[:, 1:] != x[:, :-1]).sum(1)\n"
      "assert ((changes < 24) == (y == 1)).all() and abs(y.mean() - .5) < .03\n"
      "assert set(x.ravel()) == {0, 1} and x.shape == (4000, 49)\n");
  all.about(
      "changes",
      [](Common to) {
        prepare_bit_patterns({.rows = 4000, .representation = Representation::kChanges}, to);
      },
      "assert linear_accuracy() > .97, linear_accuracy()\n"
      "assert (numpy.cumsum(x, 1) % 2 == bits['train/x'][:]).all()\n");
  all.about(
      "images",
      [](Common to) {
        prepare_images({.rows = 600, .classes = 3, .shape = {5, 7, 3}, .noise = 1}, to);
      },
      "assert x.dtype == 'u1' and x.shape == (600, 5, 7, 3)\n"
      "counts = numpy.bincount(x.ravel(), minlength=256)\n"
      "assert abs(counts / counts.mean() - 1).max() < .3\n"
      "assert len(numpy.unique(x, axis=0)) == 600\n"
      "assert numpy.stack([x[y == c].mean(0) for c in range(3)]).std(0).max() < 20\n");
  all.about(
      "patterns",
      [](Common to) {
        prepare_images({.rows = 600, .classes = 3, .shape = {9, 8}, .noise = 0}, to);
      },
      "assert x.shape == (600, 9, 8, 1) and len(numpy.unique(x, axis=0)) == 3\n");
  all.ask();
}

TEST_F(Synthetic, TheSeedAloneDecides) {
  prepare_moons({}, common_);
  const std::string first = read_text(common_.output);
  common_.write.force = true;
  prepare_moons({}, common_);
  EXPECT_EQ(read_text(common_.output), first);
  // What the first build computed: another machine, compiler or library must not change it.
  EXPECT_EQ(file_checksum(common_.output), "0e55570d32cf0d23");
  common_.seed = 1;
  prepare_moons({}, common_);
  EXPECT_NE(read_text(common_.output), first);
}

TEST_F(Synthetic, BadOptionsAreNamed) {
  EXPECT_THAT(error_of([&] { prepare_moons({.rows = 1}, common_); }), HasSubstr("--rows = 1"));
  EXPECT_THAT(error_of([&] { prepare_moons({.noise = -1}, common_); }), HasSubstr("--noise = -1"));
  EXPECT_THAT(error_of([&] { prepare_spirals({.classes = 1}, common_); }), HasSubstr("--classes"));
  EXPECT_THAT(error_of([&] {
                prepare_images({.shape = {3, 0}}, common_);
              }),
              AllOf(HasSubstr("--shape 3,0"), HasSubstr("positive")));
  EXPECT_THAT(error_of([&] {
                prepare_quadratic({.coefficients = {1, 2}}, common_);
              }),
              HasSubstr("--coefficients: 2 numbers"));
  EXPECT_FALSE(std::filesystem::exists(common_.output));
}

}  // namespace
}  // namespace lockstep
