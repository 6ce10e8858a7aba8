// Folders of HDF5 files that h5py writes, made once a test suite, and one for a test's own files.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "kernels/core/error.h"
#include "tests/error_of.h"

namespace lockstep {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lockstep-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Tests that read what a script of this folder wrote, Script::kName, which needs Script::kNeeds;
// Debian's python3 is the one with python3-h5py.
template <typename Script>
class FilesOf : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new ScratchFolder;
    const auto script = std::filesystem::path(__FILE__).parent_path() / Script::kName;
    const std::string command =
        "/usr/bin/python3 '" + script.string() + "' '" + folder_->path() + "'";
    made_ = std::system(command.c_str()) == 0;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  void SetUp() override {
    ASSERT_TRUE(made_) << Script::kName << " failed; these tests need " << Script::kNeeds;
  }
  static std::string file(const std::string& name) { return folder_->file(name + ".h5"); }

 private:
  inline static ScratchFolder* folder_ = nullptr;
  inline static bool made_ = false;
};

struct MakeH5 {
  static constexpr const char* kName = "make_h5.py";
  static constexpr const char* kNeeds = "python3-numpy and python3-h5py";
};
using H5pyFiles = FilesOf<MakeH5>;

}  // namespace lockstep
