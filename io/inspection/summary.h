// What `inspect` and the end of `prepare` print of an HDF5 file, ours or another's: its datasets
// with shape, type, layout, range and NaN count, rows of each class, mean and standard deviation of
// the training part, checksum.
#pragma once

#include <string>

namespace lockstep {

// Aligned text of several lines, each with its newline. Reads all values. Throws if the file cannot
// be read; contents that training would refuse (NaN, labels out of range) are shown, not thrown.
std::string dataset_summary(const std::string& path);

}  // namespace lockstep
