// A folder of images: listed, decoded by all threads, then cut into parts and written.
#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "io/prepare/decoded_images.h"
#include "io/prepare/prepare.h"

namespace lockstep {
namespace {

constexpr std::size_t kMostLines = 50;  // of broken images

void report_broken(const ImageFolderOptions& options, const DecodedImages& decoded,
                   std::size_t images) {
  const std::vector<std::string>& broken = decoded.broken;
  if (broken.empty()) return;
  for (std::size_t i = 0; i < std::min(broken.size(), kMostLines); ++i) options.say(broken[i]);
  if (broken.size() > kMostLines)
    options.say(fmt::format("and {} more", broken.size() - kMostLines));
  if (static_cast<std::int64_t>(broken.size()) > options.max_broken)
    throw Error(
        "{}: {} of {} images cannot be read, as the line{} above say{}; mend or remove {}, or "
        "leave "
        "out up to so many with --max-broken {}",
        options.folder, broken.size(), images, broken.size() == 1 ? "" : "s",
        broken.size() == 1 ? "s" : "", broken.size() == 1 ? "it" : "them", broken.size());
  options.say(fmt::format("left out {} of {} images that cannot be read (--max-broken {})",
                          broken.size(), images, options.max_broken));
}

// One line: "left out 3 files that are no JPEG or PNG: 2 .txt, 1 .gif".
void report_no_images(const ImageFolderOptions& options, const DecodedImages& decoded) {
  if (decoded.no_images.empty()) return;
  std::map<std::string, std::size_t> kinds;
  for (const std::string& name : decoded.no_images)
    ++kinds[std::filesystem::path(name).extension().string()];
  std::string text;
  for (const auto& [kind, count] : kinds)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count,
                        kind.empty() ? "without extension" : kind);
  options.say(fmt::format("left out {} file{} that {} neither JPEG nor PNG: {}",
                          decoded.no_images.size(), decoded.no_images.size() == 1 ? "" : "s",
                          decoded.no_images.size() == 1 ? "is" : "are", text));
}

void check_classes(const ImageFolderOptions& options, const ImageList& list,
                   const DecodedImages& decoded) {
  std::vector<std::int64_t> all(list.classes.size()), train(list.classes.size());
  for (const ListedImage& image : decoded.images) {
    const auto label = static_cast<std::size_t>(image.label);
    ++all[label];
    if (image.part == ImagePart::kTrain) ++train[label];
  }
  for (std::size_t label = 0; label < all.size(); ++label) {
    if (all[label] == 0)
      throw Error("{}: class '{}' has no image that can be read; remove it or mend its files",
                  options.folder, list.classes[label]);
    if (train[label] == 0)
      throw Error("{}: class '{}' has images for validation or test, none to train on",
                  options.folder, list.classes[label]);
  }
}

// The folder's own parts, and what the portions take of the training part.
Split plan_parts(const ImageList& list, const std::vector<ListedImage>& images,
                 const PrepareOptions& common) {
  const auto refuse_both = [](bool given, bool asked, const char* part) {
    if (given && asked)
      throw Error("the folder has a {} part of its own; leave out --{}", part, part);
  };
  const Portion test = common.test.value_or(Portion{});
  const auto some = [](const Portion& portion) {
    return portion.fraction > 0 || portion.count > 0;
  };
  refuse_both(list.has_validation, some(common.validation), "validation");
  refuse_both(list.has_test, some(test), "test");

  Split given;
  std::vector<std::int64_t> labels;
  for (std::size_t row = 0; row < images.size(); ++row) {
    const ImagePart part = images[row].part;
    auto& rows = part == ImagePart::kTrain  ? given.train
                 : part == ImagePart::kTest ? given.test
                                            : given.validation;
    rows.push_back(static_cast<std::int64_t>(row));
    if (part == ImagePart::kTrain) labels.push_back(images[row].label);
  }
  Split split = split_rows(static_cast<std::int64_t>(labels.size()), labels, common.validation,
                           test, common.seed);
  const auto to_rows = [&](std::vector<std::int64_t>& places) {
    for (std::int64_t& place : places) place = given.train[static_cast<std::size_t>(place)];
  };
  to_rows(split.train);
  to_rows(split.validation);
  to_rows(split.test);
  if (list.has_validation) split.validation = std::move(given.validation);
  if (list.has_test) split.test = std::move(given.test);
  return split;
}

}  // namespace

void prepare_image_folder(const ImageFolderOptions& options, const PrepareOptions& common) {
  check_output(common.output, common.write.force);
  const FitOptions& fit = options.fit;
  if (fit.channels != 1 && fit.channels != 3)
    throw Error("--channels {}: 1 (grey) or 3 (red, green, blue)", fit.channels);
  if (fit.size < 1 || fit.shorter < fit.size)
    throw Error("--size {} --resize {}: the size must be positive, and no larger than the resize",
                fit.size, fit.shorter);
  const ImageList list = list_images(options.folder, options.labelling);
  for (const std::string& note : list.notes) options.say(note);
  DecodedImages decoded = decode_images(list.images, fit,
                                        {.max_pixels = options.max_pixels,
                                         .memory = common.write.max_memory,
                                         .threads = std::max(1, options.threads)},
                                        common.output);
  report_no_images(options, decoded);
  report_broken(options, decoded, decoded.images.size() + decoded.broken.size());
  check_classes(options, list, decoded);

  DatasetContents contents;
  contents.info.task = "classification";
  contents.info.classes = list.classes;
  contents.info.source = fmt::format("images: {}, shorter side {}, centre {} x {}",
                                     std::filesystem::canonical(options.folder).filename().string(),
                                     fit.shorter, fit.size, fit.size);
  contents.encoding = to_json(fit);
  Split split = plan_parts(list, decoded.images, common);
  PrepareOptions parts_planned = common;
  parts_planned.test.reset();
  write_parts(rows_of(std::move(decoded), fit), std::move(split), parts_planned,
              std::move(contents));
}

}  // namespace lockstep
