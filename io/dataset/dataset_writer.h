// Writes a dataset file: groups /train, /validation, /test (those that have rows) with x, y and
// optionally weight, and root attributes that say what they are. By default each array lies in one
// piece, so that loaders may read it by pread. Rows pass through memory in blocks. Equal contents
// give equal bytes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/dataset/row_source.h"

namespace lockstep {

// The given rows of a source, in the given order.
struct PartRows {
  std::shared_ptr<RowSource> source;
  std::vector<std::int64_t> rows;
};

struct DatasetContents {
  PartRows train, validation, test;
  DatasetInfo info;                  // mean and std are computed if empty, checksum always
  std::vector<std::string> columns;  // names of x's columns; empty for images
  std::vector<std::string> targets;  // names of y's columns
  std::string encoding;              // JSON: how x was made of the source's columns; or empty
  std::vector<double> truth;         // of synthetic data: the numbers a fit should find; or empty
};

struct DatasetWriteOptions {
  bool force = false;  // replace an existing file
  // Rows of x in a chunk; 0: one piece, or where x is compressed as many as 64 KiB hold. y and
  // weight, which are small, always lie in one piece.
  std::int64_t chunk_rows = 0;
  // Sizes of a chunk of x within a row, as many as a row has axes; empty: whole rows.
  std::vector<std::int64_t> chunk_sample{};
  int compress = 0;  // deflate's level, 1 to 9; 0: none
  // Bytes that rows and the order of rows may take in memory at once while they are written;
  // reading back takes 8 MiB. The result does not depend on it.
  std::uint64_t max_memory = std::uint64_t{1} << 30;
  std::uint64_t source_memory = 0;  // of those, what the source of the rows keeps
};

// Written under a temporary name, read back and compared by checksum, then renamed. Throws if a
// file exists and `force` is not set, and if max_memory cannot hold one chunk.
void write_dataset(const std::string& path, const DatasetWriteOptions& options,
                   DatasetContents contents);

// Throws if `path` cannot become a new file: exists without force, or its folder is not there.
void check_output(const std::string& path, bool force);

}  // namespace lockstep
