// A contact sheet: one PNG that shows some images of each class, to look at data before training.
#pragma once

#include <string>

#include "io/dataset/dataset.h"

namespace lockstep {

struct ContactSheetOptions {
  DataSource source;
  std::int64_t count = 10;  // images a class; in all where there are no classes
};

// One row of the sheet a class, with its name before it; without classes rows of ten. The images of
// a class are spread evenly over its rows in the file, so one file always gives one picture. Grey
// (one channel) and RGB; small images are enlarged, large ones averaged down. Returns what is
// shown, in one line. Throws if x are no images, and where not one class fits.
std::string write_contact_sheet(const ContactSheetOptions& options, const std::string& png);

}  // namespace lockstep
