// Elementary functions in double by arithmetic alone, which IEEE 754 defines to the bit: a
// library's sin, exp or log differs in the last bit from machine to machine. Polynomials are
// fdlibm's (Sun Microsystems 1993).
#pragma once

namespace lockstep {

double natural_log(double x);  // of a positive normal x; e_log.c
double exponential(double x);  // e^x; 0 below -708, not above 709; e_exp.c

struct SineCosine {
  double sine, cosine;
};
// Of an angle in turns (1 is 360°): k_sin.c and k_cos.c for the eighth of a turn about the nearest
// quarter.
SineCosine sine_cosine(double turns);

}  // namespace lockstep
