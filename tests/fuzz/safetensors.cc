// Fuzz target: safetensors files: header, values, and what they are as float32.
#include "io/formats/safetensors_floats.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const lockstep::fuzz::MemoryFile file({data, size});
  lockstep::fuzz::accepted([&] {
    const lockstep::SafetensorsReader reader(file.path());
    for (const auto& entry : reader.entries()) {
      if (reader.read(entry).elements() > static_cast<std::int64_t>(size))
        lockstep::fuzz::finding("values beyond the file");
      if (!is_float(entry)) continue;
      lockstep::fuzz::accepted([&] { read_finite_floats(reader, entry); });
    }
  });
  return 0;
}
