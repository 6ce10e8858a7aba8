// `lockstep prepare synthetic KIND`: data made by rule. Every random number is Philox's, keyed by
// (seed, purpose, row, element), and what is computed of them needs no mathematical library: one
// seed gives the same file on any machine, and row i does not depend on how many rows there are
// except where rows are spread evenly over a curve (moons, spirals, quadratic).
#pragma once

#include "io/prepare/prepare.h"

namespace lockstep {

// Two half circles that interlock, as scikit-learn's make_moons: class 0 the upper (cos t, sin t),
// class 1 the lower (1 - cos t, 1/2 - sin t), t evenly spread over [0, π]; both coordinates plus
// noise · N(0, 1).
struct MoonsOptions {
  std::int64_t rows = 200;
  double noise = 0.2;
};
void prepare_moons(const MoonsOptions& options, const PrepareOptions& common);

// Arms of a spiral, a class each: radius r evenly spread over [0, 1], angle 2π c / classes + 4 r +
// noise · N(0, 1) radians, point (r sin, r cos). Three arms are those of Stanford's CS231n notes.
struct SpiralsOptions {
  std::int64_t rows = 300, classes = 3;
  double noise = 0.2;
};
void prepare_spirals(const SpiralsOptions& options, const PrepareOptions& common);

// Normal clouds of standard deviation `noise`, a class each, about centres drawn uniformly from
// [-10, 10] in each of the features, as scikit-learn's make_blobs.
struct BlobsOptions {
  std::int64_t rows = 300, classes = 3, features = 2;
  double noise = 1;
};
void prepare_blobs(const BlobsOptions& options, const PrepareOptions& common);

// x and the rule's weights w from N(0, 1); s = x·w + noise · N(0, 1). Classification: class 1 where
// s > 0 (y = sign s). Regression: y = s. The file's attribute "truth" holds w.
struct LinearDataOptions {
  std::int64_t rows = 1000, features = 10;
  double noise = 0.1;
  bool regression = false;
};
void prepare_linear(const LinearDataOptions& options, const PrepareOptions& common);

// y = a x² + b x + c + noise · N(0, 1), x evenly spread over [from, to]. The file's attribute
// "truth" holds a, b, c; x is stored to be used as it is (mean 0, deviation 1 are recorded), so
// that a fit may be compared with them.
struct QuadraticDataOptions {
  std::int64_t rows = 100;
  double noise = 0.1;
  std::vector<double> coefficients = {3, 2, 1};
  std::vector<double> range = {-2, 2};
};
void prepare_quadratic(const QuadraticDataOptions& options, const PrepareOptions& common);

// Strings of bits b_0 … b_{n-1}, GOOD (class 1) if fewer than half of their n - 1 neighbouring
// pairs differ, else BAD (class 0). Each bit differs from the one before with probability 1/4 in
// even rows and 3/4 in odd ones, so both classes are about half of the rows. `noise` is the
// probability that a label is turned round.
//
// One seed gives the same strings in both representations, which hold the same information:
//   kBits     the string itself. Turning every bit round changes no label, so to a linear
//             classifier both classes look alike: at ±1 coding every weight's best value is 0, and
//             it stays at about one half. One hidden layer can learn the rule.
//   kChanges  b_0, then b_i xor b_{i-1}. The label is whether a sum of inputs is below (n - 1) / 2:
//             a linear classifier separates the classes.
struct BitPatternsOptions {
  enum class Representation { kBits, kChanges };

  std::int64_t rows = 4000, bits = 49;
  double noise = 0;
  Representation representation = Representation::kBits;
};
void prepare_bit_patterns(const BitPatternsOptions& options, const PrepareOptions& common);

// uint8 images of any shape: each class has an image of random bytes, and each sample is a mixture
// of its class's (share 1 - noise) and of random bytes of its own (share noise, in steps of 1/256).
// With noise 1 there is nothing to learn. Classes take turns.
struct ImagesOptions {
  std::int64_t rows = 1000, classes = 10;
  std::vector<std::int64_t> shape = {32, 32, 3};
  double noise = 0.75;
};
void prepare_images(const ImagesOptions& options, const PrepareOptions& common);

}  // namespace lockstep
