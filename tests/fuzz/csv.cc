// Fuzz target: CSV files. The first byte chooses delimiter and header, the rest is the file.
#include "io/formats/csv.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr char kDelimiters[] = {',', ';', '\t', ' '};
  const lockstep::CsvOptions options{kDelimiters[data[0] & 3], (data[0] & 4) == 0};
  const lockstep::fuzz::MemoryFile file({data + 1, size - 1});
  lockstep::fuzz::accepted([&] {
    const auto table = lockstep::CsvTable::read(file.path(), options);
    for (std::size_t row = 0; row < table.rows(); ++row) {
      for (std::size_t column = 0; column < table.columns().size(); ++column) {
        const auto cell = table.cell(row, column);
        const auto number = lockstep::parse_number(cell);
        if (number && *number - *number != 0) lockstep::fuzz::finding("not a finite number");
        if (lockstep::is_missing(cell) && number) lockstep::fuzz::finding("missing, yet a number");
      }
    }
  });
  return 0;
}
