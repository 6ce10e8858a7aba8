// Fuzz target: NumPy's .npy files; the first and the last row are read in every type.
#include "io/formats/npy.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using lockstep::DType;
  const lockstep::fuzz::MemoryFile file({data, size});
  lockstep::fuzz::accepted([&] {
    const lockstep::NpyReader reader(file.path());
    if (reader.rows() == 0) return;
    const std::int64_t rows[] = {0, reader.rows() - 1};
    for (const DType type : {DType::kFloat32, DType::kInt64, DType::kUInt8}) {
      // The type alone may be refused, after which the others are still to be tried.
      lockstep::fuzz::accepted([&] {
        if (type == DType::kUInt8 && !reader.is_bytes()) return;
        if (type == DType::kInt64 && !reader.is_integer()) return;
        const auto elements = static_cast<std::size_t>(reader.row_elements());
        if (elements * reader.element_bytes() > size)
          lockstep::fuzz::finding("rows beyond the file");
        std::vector<std::byte> out(2 * elements * lockstep::size_of(type));
        reader.read(rows, type, out.data());
      });
    }
  });
  return 0;
}
