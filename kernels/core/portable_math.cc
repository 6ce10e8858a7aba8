#include "kernels/core/portable_math.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;

}  // namespace

double natural_log(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  // Counting from √½ upwards gives √½ <= mantissa < √2.
  constexpr std::uint64_t kRootHalf = 0x3FE6A09E00000000;
  const auto exponent = static_cast<std::int64_t>(bits - kRootHalf) >> 52;
  bits -= static_cast<std::uint64_t>(exponent) << 52;
  double mantissa;
  std::memcpy(&mantissa, &bits, sizeof mantissa);

  const double f = mantissa - 1, s = f / (2 + f), z = s * s;
  const double r =
      z * (6.666666666666735130e-01 +
           z * (3.999999999940941908e-01 +
                z * (2.857142874366239149e-01 +
                     z * (2.222219843214978396e-01 +
                          z * (1.818357216161805012e-01 +
                               z * (1.531383769920937332e-01 + z * 1.479819860511658591e-01))))));
  const double half_square = 0.5 * f * f, k = static_cast<double>(exponent);
  return k * kLn2High - ((half_square - (s * (half_square + r) + k * kLn2Low)) - f);
}

double exponential(double x) {
  LOCKSTEP_CHECK(x <= 709, "the exponential of {}", x);
  if (!(x >= -708)) return 0;
  constexpr double kInverseLn2 = 1.44269504088896338700e+00;
  const double k = std::nearbyint(x * kInverseLn2);
  const double high = x - k * kLn2High, low = k * kLn2Low, r = high - low, z = r * r;
  const double c =
      r - z * (1.66666666666666019037e-01 +
               z * (-2.77777777770155933842e-03 +
                    z * (6.61375632143793436117e-05 +
                         z * (-1.65339022054652515390e-06 + z * 4.13813679705723846039e-08))));
  const double mantissa = 1 - ((low - r * c / (2 - c)) - high);
  const std::uint64_t power = static_cast<std::uint64_t>(static_cast<std::int64_t>(k) + 1023) << 52;
  double scale;
  std::memcpy(&scale, &power, sizeof scale);
  return mantissa * scale;
}

SineCosine sine_cosine(double turns) {
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
