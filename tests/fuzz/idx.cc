// Fuzz target: IDX files, plain and gzipped, as images and as labels.
#include "io/formats/idx.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const lockstep::fuzz::MemoryFile file({data, size});
  for (const int axes : {1, 3}) {
    lockstep::fuzz::accepted([&] { lockstep::read_idx(file.path(), axes); });
  }
  return 0;
}
