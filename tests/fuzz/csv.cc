// Fuzz target: CSV files. The first byte chooses delimiter, header and the size of blocks, the rest
// is the file, whose blocks must hold what the table does.
#include "io/formats/csv_file.h"

#include <numeric>
#include <vector>

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
    lockstep::CsvFile blocks(file.path(), options, std::size_t{1} << (data[0] >> 3 & 7));
    std::vector<std::int64_t> rows(table.rows());
    std::iota(rows.begin(), rows.end(), std::int64_t{0});
    std::size_t next = 0;
    blocks.for_each_block(rows, [&](const lockstep::CsvTable& block, auto inside) {
      for (const std::int64_t row : inside) {
        for (std::size_t column = 0; column < table.columns().size(); ++column)
          if (block.cell(static_cast<std::size_t>(row), column) != table.cell(next, column))
            lockstep::fuzz::finding("a block holds another cell");
        ++next;
      }
    });
    if (next != table.rows()) lockstep::fuzz::finding("blocks hold fewer rows");
  });
  return 0;
}
