// A linter for data: what in a dataset would make training fail, learn the wrong thing, or be slow.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "io/augment/augmentation.h"
#include "io/dataset/dataset.h"

namespace lockstep {

enum class Severity { kWarning, kError };  // kError: training refuses, or its outcome is wrong

struct Finding {
  Severity severity;
  std::string where;  // file, dataset, column
  std::string what;
  std::string cure;  // a command or a line of a config where there is one
};

struct NamedSource {
  std::string name;  // "train", "validation", "test"
  DataSource source;
};

struct DataCheckOptions {
  std::vector<std::string> files;  // which are read as one dataset
  std::vector<NamedSource> parts;  // of all these files; the training part first
  bool normalize = true;           // data.normalize
  std::vector<double> mean, std;   // data.mean, data.std; empty: the file's
  AugmentOptions augment;          // of the training part: it may give samples another size
  std::int64_t outputs = 0;        // model.outputs; 0: as many as the training part has classes
};

// The parts /train, /validation, /test of the files, or their roots.
DataCheckOptions check_of_files(const std::vector<std::string>& files);

// Looks at storage (chunks, compression, types), labels and their balance, NaN and infinities,
// constant columns, scale and normalisation, weights, what training on the first part and measuring
// on another needs both to have alike, rows that stand in two parts, the stored checksums. What
// holds of the rows of all files together (balance, scale) is found once for them. What errors keep
// it from looking for is a finding of its own.
// Reads all values, some of them twice; memory for 24 bytes a row.
std::vector<Finding> check_data(const DataCheckOptions& options);

// "warning: data.h5: '/train/x': what: cure", one line.
std::string finding_line(const Finding& finding);

}  // namespace lockstep
