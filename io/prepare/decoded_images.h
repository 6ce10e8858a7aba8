// Decodes a list of image files by several threads into a scratch file, from which they are rows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/base/scratch_file.h"
#include "io/dataset/row_source.h"
#include "io/images/decode.h"
#include "io/prepare/image_folder.h"

namespace lockstep {

struct DecodedImages {
  std::vector<ListedImage> images;  // those that were decoded, in their order
  std::vector<std::size_t> slots;   // where each lies in the scratch file
  std::shared_ptr<ScratchFile> pixels;
  std::vector<std::string> broken;     // a message each, which begins with the file's path
  std::vector<std::string> no_images;  // names of files that neither are images nor look like one
};

struct DecodeLimits {
  std::int64_t max_pixels = kMostPixels;
  std::uint64_t memory = std::uint64_t{1} << 30;  // of all threads together
  int threads = 1;
};

// The scratch file lies beside `output`.
DecodedImages decode_images(const std::vector<ListedImage>& images, const FitOptions& fit,
                            const DecodeLimits& limits, const std::string& output);

// The images as rows with labels and names.
std::shared_ptr<RowSource> rows_of(DecodedImages images, const FitOptions& fit);

}  // namespace lockstep
