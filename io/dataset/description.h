// What a network needs to know of the data that it was trained on, to be given rows that come from
// elsewhere: a sample's shape and type, the names of the classes, how columns were encoded. A run
// folder keeps it as data.json, so that predict works where the dataset file is not.
#pragma once

#include <string>

#include "io/dataset/dataset.h"

namespace lockstep {

struct DataDescription {
  Shape sample;                    // without rows
  DType x_type = DType::kFloat32;  // in the file, before normalisation
  std::string task;
  std::vector<std::string> classes;
  std::string encoding;  // CsvEncoding's JSON; empty where x was not made of a table
};

DataDescription describe(const Dataset& dataset);

std::string to_json(const DataDescription& description);
// `name` is the file, for the Error that a damaged one gives.
DataDescription description_from_json(const std::string& text, const std::string& name);

}  // namespace lockstep
