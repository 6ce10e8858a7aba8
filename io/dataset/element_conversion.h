// Numbers from the form they have in a file to the types that datasets give out. The results are
// those of C++ casts, whatever the byte order, and equal to the HDF5 library's but for two of its
// own inconsistencies: it rounds ties of big-endian doubles away from zero, and wraps big-endian
// uint64 past int64 where it clamps little-endian ones. Here ties go to even, and values clamp.
#pragma once

#include <cstddef>

#include "io/hdf5/hdf5.h"

namespace lockstep {

using ElementConversion = void (*)(const std::byte* from, std::byte* to, std::size_t count);

// nullptr where the library must convert. `native_order`: the bytes are in the machine's order
// already, whatever the file's is.
ElementConversion element_conversion(const hdf5::ElementType& from, DType to, bool native_order);

}  // namespace lockstep
