// Random numbers and angles of synthetic data, by arithmetic that IEEE 754 defines to the bit.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/core/initializers.h"
#include "kernels/core/philox.h"

namespace lockstep {

// What a number is for; draws of different streams are independent.
enum class SyntheticStream : std::uint32_t { kInput = 1, kNoise = 2, kRule = 3, kLabelNoise = 4 };

class Draws {
 public:
  Draws(std::uint64_t seed, SyntheticStream stream)
      : key_{.seed = seed,
             .purpose = RandomPurpose::kSynthetic,
             .layer = static_cast<std::uint32_t>(stream)} {}

  PhiloxBlock block(std::int64_t row, std::int64_t block) const {
    return key_.block(static_cast<std::uint64_t>(row), static_cast<std::uint32_t>(block));
  }
  double uniform(std::int64_t row, std::int64_t element) const {  // (0, 1)
    return to_open_unit(block(row, element / 4)[static_cast<std::size_t>(element % 4)]);
  }
  double normal(std::int64_t row, std::int64_t element) const {  // N(0, 1)
    return normal_quantile(uniform(row, element));
  }

 private:
  RandomKey key_;
};

struct SineCosine {
  double sine, cosine;
};

// Of an angle in turns (1 is 360°). fdlibm's polynomials (k_sin.c, k_cos.c, Sun Microsystems 1993)
// for the eighth of a turn about the nearest quarter: a library's sin differs in the last bit from
// machine to machine.
inline SineCosine sine_cosine(double turns) {
  constexpr double kHalfPi = 1.5707963267948966;
  const double quarter = std::nearbyint(turns * 4);
  const double x = (turns * 4 - quarter) * kHalfPi, z = x * x;
  const double sine =
      x + x * z *
              (-1.66666666666666324348e-01 +
               z * (8.33333333332248946124e-03 +
                    z * (-1.98412698298579493134e-04 +
                         z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 +
                                                                z * 1.58969099521155010221e-10)))));
  const double cosine =
      1 -
      (0.5 * z -
       z * z *
           (4.16666666666666019037e-02 +
            z * (-1.38888888888741095749e-03 +
                 z * (2.48015872894767294178e-05 +
                      z * (-2.75573143513906633035e-07 +
                           z * (2.08757232129817482790e-09 - z * 1.13596475577881948265e-11))))));
  switch (static_cast<std::int64_t>(quarter) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

}  // namespace lockstep
