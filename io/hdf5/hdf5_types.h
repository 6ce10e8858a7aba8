// What an HDF5 datatype, layout and fill value say, in our own words. Library handles in and out;
// for the wrapper's own files.
#pragma once

#include "io/hdf5/hdf5_detail.h"

namespace lockstep::hdf5::detail {

ElementType describe_type(const Handle& type);
std::string describe_layout(const Handle& creation, int rank);
std::optional<ChunkStorage> chunk_storage(const Handle& creation, const Handle& space,
                                          const Handle& type, const std::string& where);
// Throws Error naming each source file or dataset of a virtual dataset that is not there, of which
// the library would read fill values without a word.
void check_virtual_sources(const Handle& creation, const std::string& file,
                           const std::string& where);

}  // namespace lockstep::hdf5::detail
