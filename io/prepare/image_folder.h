// Which images a folder holds, and what each shows: by its sub-folder, by its name or by a table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

enum class ImagePart : std::uint8_t { kTrain, kValidation, kTest };

struct ListedImage {
  std::string path;  // to open
  std::string name;  // relative to the folder: "train/cat/1.jpg"
  std::int64_t label = 0;
  ImagePart part = ImagePart::kTrain;
};

struct ImageLabelling {
  std::string regex;  // its first group, searched in the file's name, is the class
  std::string table;  // or a CSV file of name and label
};                    // neither: the sub-folder is the class

struct ImageList {
  std::vector<ListedImage> images;   // by part, class and name; what they hold was not looked at
  std::vector<std::string> classes;  // sorted by their bytes, as torchvision's ImageFolder has them
  bool has_validation = false, has_test = false;  // parts of the folder's own
  std::vector<std::string> notes;                 // what was left out, a line each
};

// Looks into all folders below `folder`, through symbolic links; names that begin with a dot are
// ignored. Where its folders are called train and test or val (valid, validation), these are the
// parts. Throws Error: no folder, no classes or one alone, an empty class, a class without an image
// in train, a link back to a folder above it, a table that names what is not there.
ImageList list_images(const std::string& folder, const ImageLabelling& labelling);

}  // namespace lockstep
