// What the rows of a part are called where a file keeps it: the images that they were made of.
#pragma once

#include <string>
#include <vector>

#include "io/dataset/dataset.h"

namespace lockstep {

// A group's attribute: UTF-8 texts, one a row of its x.
constexpr const char* kNamesAttribute = "files";

// By row; empty where the part has none. Of several files, one after another.
std::vector<std::string> row_names(const DataSource& source);

}  // namespace lockstep
