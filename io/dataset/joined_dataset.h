// Several datasets as one: the rows of the first, then those of the second, and so on. What a
// sample and a target are must agree; an error names both files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/dataset/dataset.h"

namespace lockstep {

struct NamedDataset {
  std::string file;
  std::shared_ptr<const Dataset> dataset;
};

// Names of classes must be equal where two files give them. Mean and standard deviation are pooled
// over the rows that each file's were computed of; they are unknown where any file lacks them.
std::unique_ptr<Dataset> join_datasets(std::vector<NamedDataset> parts);

}  // namespace lockstep
