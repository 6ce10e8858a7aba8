// A folder of HDF5 files from make_h5.py, made once a test program, and one for a test's own files.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "kernels/core/error.h"

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

// Tests that read what h5py wrote; Debian's python3 is the one with python3-h5py.
class H5pyFiles : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new ScratchFolder;
    const auto script = std::filesystem::path(__FILE__).parent_path() / "make_h5.py";
    const std::string command =
        "/usr/bin/python3 '" + script.string() + "' '" + folder_->path() + "'";
    made_ = std::system(command.c_str()) == 0;
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  void SetUp() override {
    ASSERT_TRUE(made_) << "make_h5.py failed; these tests need python3-numpy and python3-h5py";
  }
  static std::string file(const std::string& name) { return folder_->file(name + ".h5"); }

 private:
  inline static ScratchFolder* folder_ = nullptr;
  inline static bool made_ = false;
};

// The message of the Error that `action` throws; "" if it throws none.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace lockstep
