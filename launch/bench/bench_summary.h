// What the figures of several benchmarks have in common.
#pragma once

#include <vector>

namespace lockstep {

double median(std::vector<double> values);
double peak_memory_mib();  // resident, of this process so far

}  // namespace lockstep
