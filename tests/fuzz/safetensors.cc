// Fuzz target: safetensors files, header and values.
#include "io/formats/safetensors.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const lockstep::fuzz::MemoryFile file({data, size});
  lockstep::fuzz::accepted([&] {
    const lockstep::SafetensorsReader reader(file.path());
    for (const auto& entry : reader.entries()) {
      if (reader.read(entry).bytes() > size) lockstep::fuzz::finding("values beyond the file");
    }
  });
  return 0;
}
