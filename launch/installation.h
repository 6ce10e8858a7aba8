// Where the files are that come with the executable: beside it when it is installed, in the source
// tree when it runs from a build folder.
#pragma once

#include <string>

namespace lockstep {

// A bundled data set: "digits.csv". Of the places that are known, the first that has it; else the
// first, for a message.
std::string bundled_data(const std::string& name);

}  // namespace lockstep
