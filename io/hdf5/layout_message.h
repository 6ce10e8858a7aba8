// The data layout message of a dataset's object header: which chunk index it has, and where.
#pragma once

#include <cstdint>
#include <vector>

#include "io/hdf5/format_bytes.h"

namespace lockstep::hdf5 {

enum class ChunkIndexKind {
  kSingle = 1,
  kImplicit = 2,
  kFixedArray = 3,
  kExtensibleArray = 4,
  kBtree2 = 5,
  kBtree1 = 100,  // of older layout messages, which do not number it
};

struct LayoutMessage {
  ChunkIndexKind kind = ChunkIndexKind::kBtree1;
  std::uint64_t address = Chunk::kUnwritten;  // of the index; unwritten: no chunk is
  std::vector<std::uint64_t> chunk;           // elements along each axis; then bytes of an element
  std::uint64_t single_bytes = 0;             // kSingle with filters: as stored
  std::uint32_t single_mask = 0;
};

LayoutMessage read_layout_message(const FormatBytes& file, std::uint64_t object_header);

}  // namespace lockstep::hdf5
