#include "io/prepare/image_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <tuple>
#include <utility>

#include "io/formats/csv.h"
#include "kernels/core/error.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct Found {
  std::string path, name;
};

// One look at a folder: names in order, without those that begin with a dot.
struct Entries {
  std::vector<std::string> folders, files;
};

Entries entries_of(const std::string& folder) {
  Entries entries;
  std::error_code error;
  fs::directory_iterator place(folder, error);
  for (; !error && place != fs::directory_iterator(); place.increment(error)) {
    const std::string name = place->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code unknown;  // a link that leads nowhere counts as a file, which cannot be opened
    (fs::is_directory(place->path(), unknown) ? entries.folders : entries.files).push_back(name);
  }
  if (error) throw Error("{}: cannot list this folder: {}", folder, error.message());
  std::sort(entries.folders.begin(), entries.folders.end());
  std::sort(entries.files.begin(), entries.files.end());
  return entries;
}

// All files below a folder.
class Walk {
 public:
  std::vector<Found> files(const std::string& folder, const std::string& name) {
    found_.clear();
    enter(folder, name);
    return std::move(found_);
  }

 private:
  using Identity = std::pair<dev_t, ino_t>;

  void enter(const std::string& folder, const std::string& name) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) throw Error("{}: cannot look into it", folder);
    const Identity identity{status.st_dev, status.st_ino};
    if (std::find(above_.begin(), above_.end(), identity) != above_.end())
      throw Error("{}: a symbolic link back to a folder above it; remove the link", folder);
    above_.push_back(identity);
    const Entries entries = entries_of(folder);
    const std::string prefix = name.empty() ? "" : name + "/";
    for (const std::string& file : entries.files)
      found_.push_back({folder + "/" + file, prefix + file});
    for (const std::string& inner : entries.folders) enter(folder + "/" + inner, prefix + inner);
    above_.pop_back();
  }

  std::vector<Identity> above_;
  std::vector<Found> found_;
};

struct PartFolder {
  ImagePart part;
  std::string folder, name;  // name: relative to the folder that was given; "" is that folder
};

std::optional<ImagePart> part_called(const std::string& name) {
  if (name == "train") return ImagePart::kTrain;
  if (name == "test") return ImagePart::kTest;
  if (name == "val" || name == "valid" || name == "validation") return ImagePart::kValidation;
  return std::nullopt;
}

std::vector<PartFolder> parts_of(const std::string& folder) {
  const Entries entries = entries_of(folder);
  std::vector<PartFolder> parts;
  std::string other;
  for (const std::string& name : entries.folders) {
    const std::optional<ImagePart> part = part_called(name);
    if (part)
      parts.push_back({*part, folder + "/" + name, name});
    else
      other = name;
  }
  const auto has = [&](ImagePart part) {
    return std::count_if(parts.begin(), parts.end(),
                         [&](const PartFolder& found) { return found.part == part; });
  };
  if (has(ImagePart::kTrain) == 0 || parts.size() < 2) return {{ImagePart::kTrain, folder, ""}};
  if (!other.empty())
    throw Error(
        "{}: it holds parts ({}, {}) and another folder, '{}'; classes belong inside the parts. "
        "Move it, or name one part's folder instead",
        folder, parts[0].name, parts[1].name, other);
  if (has(ImagePart::kValidation) > 1)
    throw Error("{}: two of val, valid and validation; which one is the validation part?", folder);
  return parts;
}

std::string base_name(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

// How many, and which is the first.
struct LeftOut {
  std::size_t count = 0;
  std::string first;

  void add(const std::string& name) {
    if (count++ == 0) first = name;
  }
  void note(const std::string& what, std::vector<std::string>& notes) const {
    if (count > 0)
      notes.push_back(fmt::format("left out {} file{} {}: {}{}", count, count == 1 ? "" : "s", what,
                                  first, count == 1 ? "" : ", ..."));
  }
};

// A file and its class, before classes are numbered.
struct Labelled {
  Found file;
  ImagePart part;
  std::string label;
};

std::vector<Labelled> label_by_folder(const std::vector<PartFolder>& parts,
                                      std::vector<std::string>& notes) {
  std::vector<Labelled> labelled;
  LeftOut loose;
  Walk walk;
  for (const PartFolder& part : parts) {
    const Entries entries = entries_of(part.folder);
    if (entries.folders.empty())
      throw Error("{}: it has no sub-folders, which would be the classes; {}", part.folder,
                  part.name.empty()
                      ? "or say with --label-regex or --labels how images are labelled"
                      : "images without labels are no part of a dataset: move it elsewhere");
    for (const std::string& name : entries.files)
      loose.add(part.name.empty() ? name : part.name + "/" + name);
    for (const std::string& label : entries.folders) {
      const std::string folder = part.folder + "/" + label;
      std::vector<Found> files =
          walk.files(folder, part.name.empty() ? label : part.name + "/" + label);
      if (files.empty())
        throw Error("{}: the folder of class '{}' is empty; remove it", folder, label);
      for (Found& file : files) labelled.push_back({std::move(file), part.part, label});
    }
  }
  loose.note("outside of the classes' folders", notes);
  return labelled;
}

std::vector<Labelled> label_by_regex(const std::vector<PartFolder>& parts, const std::string& text,
                                     std::vector<std::string>& notes) {
  std::regex regex;
  try {
    regex.assign(text, std::regex::ECMAScript);
  } catch (const std::regex_error& error) {
    throw Error("--label-regex '{}': {}", text, error.what());
  }
  if (regex.mark_count() == 0)
    throw Error("--label-regex '{}': it needs a group in parentheses, which is the class", text);
  std::vector<Labelled> labelled;
  LeftOut other;
  Walk walk;
  for (const PartFolder& part : parts)
    for (Found& file : walk.files(part.folder, part.name)) {
      std::smatch match;
      const std::string name = base_name(file.name);
      if (std::regex_search(name, match, regex) && match[1].length() > 0)
        labelled.push_back({std::move(file), part.part, match[1]});
      else
        other.add(file.name);
    }
  other.note("by --label-regex, which their names do not match", notes);
  if (labelled.empty()) throw Error("--label-regex '{}': no file's name matches it", text);
  return labelled;
}

// A table's rows by what they name.
class LabelTable {
 public:
  explicit LabelTable(const std::string& path) : table_(CsvTable::read(path, {})) {
    const auto& columns = table_.columns();
    if (columns.size() < 2)
      throw Error("{}: two columns are needed, the image's name and its label", path);
    const auto named = [&](const char* name, std::size_t otherwise) {
      const auto found = std::find(columns.begin(), columns.end(), name);
      return found == columns.end() ? otherwise : static_cast<std::size_t>(found - columns.begin());
    };
    const std::size_t name = named("name", 0);
    label_ = named("label", name == 1 ? 0 : 1);
    if (columns[name] != "name" && columns[label_] != "label") header_ = columns[name];
    used_.resize(table_.rows());
    for (std::size_t row = 0; row < table_.rows(); ++row) {
      if (table_.cell(row, label_).empty())
        throw Error("{}, line {}: no label", path, table_.line(row));
      if (!rows_.emplace(std::string(table_.cell(row, name)), row).second)
        throw Error("{}, line {}: '{}' is named twice", path, table_.line(row),
                    table_.cell(row, name));
    }
  }

  // By its path in the folder, by its name, and by either without the extension.
  std::optional<std::string> label_of(const std::string& name) {
    const auto stem = [](const std::string& text) { return text.substr(0, text.rfind('.')); };
    const std::string base = base_name(name);
    const std::array keys{name, base, stem(name), stem(base)};
    if (!header_.empty() && std::ranges::find(keys, header_) != keys.end())
      throw Error(
          "{}, line 1: '{}' is an image ({}), but the first line names the columns; put the line "
          "name,label before it",
          table_.path(), header_, name);
    for (const std::string& key : keys)
      if (const auto found = rows_.find(key); found != rows_.end()) {
        used_[found->second] = true;
        return std::string(table_.cell(found->second, label_));
      }
    return std::nullopt;
  }

  void check_all_used(const std::string& folder) const {
    const auto missing = static_cast<std::size_t>(std::count(used_.begin(), used_.end(), false));
    for (const auto& [name, row] : rows_)
      if (!used_[row])
        throw Error("{}, line {}: there is no image '{}' in {} ({} of {} rows name none)",
                    table_.path(), table_.line(row), name, folder, missing, rows_.size());
  }

 private:
  CsvTable table_;
  std::string header_;  // of the names' column; empty where the columns are called name or label
  std::size_t label_ = 0;
  std::map<std::string, std::size_t> rows_;
  std::vector<bool> used_;
};

std::vector<Labelled> label_by_table(const std::string& folder,
                                     const std::vector<PartFolder>& parts, const std::string& path,
                                     std::vector<std::string>& notes) {
  LabelTable table(path);
  std::vector<Labelled> labelled;
  LeftOut other;
  Walk walk;
  for (const PartFolder& part : parts)
    for (Found& file : walk.files(part.folder, part.name)) {
      std::error_code unknown;
      if (fs::equivalent(file.path, path, unknown)) continue;  // the table itself
      if (const std::optional<std::string> label = table.label_of(file.name))
        labelled.push_back({std::move(file), part.part, *label});
      else
        other.add(file.name);
    }
  table.check_all_used(folder);
  other.note("that " + path + " does not name", notes);
  return labelled;
}

}  // namespace

ImageList list_images(const std::string& folder, const ImageLabelling& labelling) {
  std::error_code unknown;
  if (!fs::is_directory(folder, unknown))
    throw Error("{}: {}", folder,
                fs::exists(folder, unknown) ? "it is a file; name the folder that the images are in"
                                            : "there is no such folder");
  if (!labelling.regex.empty() && !labelling.table.empty())
    throw Error("--label-regex and --labels: one of them says what an image shows, not both");
  const std::vector<PartFolder> parts = parts_of(folder);
  ImageList list;
  std::vector<Labelled> labelled =
      !labelling.table.empty()   ? label_by_table(folder, parts, labelling.table, list.notes)
      : !labelling.regex.empty() ? label_by_regex(parts, labelling.regex, list.notes)
                                 : label_by_folder(parts, list.notes);
  std::map<std::string, std::int64_t> numbers;
  for (const Labelled& image : labelled) numbers.emplace(image.label, 0);
  if (numbers.size() == 1)
    throw Error("{}: one class alone, '{}'; there is nothing to tell apart", folder,
                numbers.begin()->first);
  for (auto& [label, number] : numbers) {
    number = static_cast<std::int64_t>(list.classes.size());
    list.classes.push_back(label);
  }
  for (const PartFolder& part : parts) {
    list.has_validation |= part.part == ImagePart::kValidation;
    list.has_test |= part.part == ImagePart::kTest;
  }
  for (Labelled& image : labelled)
    list.images.push_back({std::move(image.file.path), std::move(image.file.name),
                           numbers.at(image.label), image.part});
  std::sort(list.images.begin(), list.images.end(), [](const ListedImage& a, const ListedImage& b) {
    return std::tie(a.part, a.label, a.name) < std::tie(b.part, b.label, b.name);
  });
  return list;
}

}  // namespace lockstep
