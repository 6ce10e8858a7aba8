#include "io/dataset/file_names.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "kernels/core/error.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostNamesInText = 3;

bool is_glob(const std::string& name) {
  std::error_code ignored;
  return name.find_first_of("*?[") != std::string::npos && !std::filesystem::exists(name, ignored);
}

std::vector<std::string> matches(const std::string& pattern) {
  ::glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> files(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (status != 0 && status != GLOB_NOMATCH)
    throw Error("{}: cannot look for the files that it matches", pattern);
  if (files.empty()) {
    std::error_code ignored;
    throw Error("{}: no file matches (the working directory is {})", pattern,
                std::filesystem::current_path(ignored).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string FileNames::text() const {
  if (names_.size() <= kMostNamesInText) return fmt::format("{}", fmt::join(names_, ", "));
  return fmt::format("{} and {} more", names_.front(), names_.size() - 1);
}

std::vector<std::string> FileNames::expand() const {
  std::vector<std::string> files;
  for (const std::string& name : names_) {
    const std::vector<std::string> stands_for = is_glob(name) ? matches(name) : std::vector{name};
    files.insert(files.end(), stands_for.begin(), stands_for.end());
  }
  if (files.empty()) throw Error("no data file is named");
  return files;
}

}  // namespace lockstep
