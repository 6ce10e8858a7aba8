// Several files as one dataset: rows in the order of the files, one checksum of all, what must
// agree, and errors that name the file and its own row.
#include "io/dataset/joined_dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>

#include "io/dataset/channel_statistics.h"
#include "io/hdf5/hdf5.h"
#include "tests/io/h5_files.h"

namespace lockstep {
namespace {

class JoinedDatasetTest : public ::testing::Test {
 protected:
  // Rows first, first + 1, ...: x = (row, 2 row), y = row % 3.
  void write(const std::string& name, std::int64_t first, std::int64_t rows,
             std::vector<std::string> classes = {}, float nan_row = -1) {
    const Tensor x = host_tensor({rows, 2}, DType::kFloat32);
    const Tensor y = host_tensor({rows}, DType::kInt64);
    for (std::int64_t i = 0; i < rows; ++i) {
      const auto row = static_cast<float>(first + i);
      x.data<float>()[2 * i] = row == nan_row ? NAN : row;
      x.data<float>()[2 * i + 1] = 2 * row;
      y.data<std::int64_t>()[i] = (first + i) % 3;
    }
    hdf5::File file = hdf5::File::create(folder_.file(name));
    file.write("/train/x", x.shape(), DType::kFloat32, x.raw());
    file.write("/train/y", y.shape(), DType::kInt64, y.raw());
    if (classes.empty()) return;
    const std::vector<double> one = {1};
    file.set_numbers("/", "lockstep_format", one);
    file.set_text("/", "task", "classification");
    file.set_texts("/", "classes", classes);
    ChannelStatistics statistics(2);
    statistics.add_to_mean(x);
    statistics.add_to_variance(x);
    file.set_numbers("/", "mean", statistics.mean());
    file.set_numbers("/", "std", statistics.std());
  }
  std::unique_ptr<Dataset> open(FileNames files) {
    return Dataset::open({.file = std::move(files), .group = "/train"});
  }

  ScratchFolder folder_;
};

TEST_F(JoinedDatasetTest, RowsFollowTheOrderOfTheFiles) {
  write("b.h5", 0, 7);
  write("a.h5", 7, 1);
  write("c.h5", 8, 12);
  const auto joined =
      open(std::vector{folder_.file("b.h5"), folder_.file("a.h5"), folder_.file("c.h5")});
  ASSERT_EQ(joined->rows(), 20);
  EXPECT_EQ(joined->class_count(), 3);
  EXPECT_EQ(joined->access(), "3 files, contiguous, read by pread");
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::vector<std::int64_t> rows(20);
  std::iota(rows.begin(), rows.end(), 0);
  for (int round = 0; round < 5; ++round) {
    Tensor x = host_tensor({20, 2}, DType::kFloat32), y = host_tensor({20}, DType::kInt64), none;
    joined->read(rows, x, y, none);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(x.data<float>()[2 * i], static_cast<float>(rows[i]));
      EXPECT_EQ(x.data<float>()[2 * i + 1], static_cast<float>(2 * rows[i]));
      EXPECT_EQ(y.data<std::int64_t>()[i], rows[i] % 3);
    }
    std::shuffle(rows.begin(), rows.end(), random);
  }
}

TEST_F(JoinedDatasetTest, AGlobIsSortedByNameAndAnyFileMayHoldItsCharacters) {
  write("part-10.h5", 5, 5);
  write("part-2.h5", 10, 5);
  write("part-1.h5", 0, 5);
  write("odd[1].h5", 0, 3);
  const std::vector<std::string> found = FileNames(folder_.file("part-*.h5")).expand();
  EXPECT_EQ(found, (std::vector{folder_.file("part-1.h5"), folder_.file("part-10.h5"),
                                folder_.file("part-2.h5")}));
  EXPECT_EQ(open(folder_.file("odd[1].h5"))->rows(), 3);
  EXPECT_NE(error_of([&] { open(folder_.file("none-*.h5")); }).find("none-*.h5: no file matches"),
            std::string::npos);
  const auto by_glob = open(folder_.file("part-*.h5")), by_list = open(found);
  EXPECT_EQ(by_glob->checksum(), by_list->checksum());
  EXPECT_NE(open(std::vector{found[1], found[0], found[2]})->checksum(), by_list->checksum());
}

TEST_F(JoinedDatasetTest, StatisticsArePooledOverAllRows) {
  write("a.h5", 0, 5, {"x", "y", "z"});
  write("b.h5", 5, 15, {"x", "y", "z"});
  write("whole.h5", 0, 20, {"x", "y", "z"});
  const auto joined = open(std::vector{folder_.file("a.h5"), folder_.file("b.h5")});
  const auto whole = open(folder_.file("whole.h5"));
  EXPECT_EQ(joined->info().classes, whole->info().classes);
  for (std::size_t c = 0; c < 2; ++c) {
    EXPECT_NEAR(joined->info().mean[c], whole->info().mean[c], 1e-12);
    EXPECT_NEAR(joined->info().std[c], whole->info().std[c], 1e-12);
  }
}

TEST_F(JoinedDatasetTest, WhatMustAgreeIsNamedWithBothFiles) {
  write("a.h5", 0, 5, {"x", "y", "z"});
  write("b.h5", 0, 5, {"x", "z", "y"});
  {
    const std::vector<float> x(15);
    hdf5::File::create(folder_.file("wide.h5"))
        .write("/train/x", {5, 3}, DType::kFloat32, x.data());
  }
  const auto refused = [&](const std::string& other, const std::string& text) {
    const std::string message = error_of([&] {
      open(std::vector{folder_.file("a.h5"), folder_.file(other)});
    });
    EXPECT_NE(message.find(text), std::string::npos) << message;
    EXPECT_NE(message.find(folder_.file("a.h5")), std::string::npos) << message;
    EXPECT_NE(message.find(folder_.file(other)), std::string::npos) << message;
  };
  refused("b.h5", "classes x, z, y");
  refused("wide.h5", "rows of float32 (3)");
}

TEST_F(JoinedDatasetTest, ErrorsNameTheFileAndItsOwnRow) {
  write("a.h5", 0, 5);
  write("b.h5", 5, 5, {}, 8);
  const auto joined = open(std::vector{folder_.file("a.h5"), folder_.file("b.h5")});
  Tensor x = host_tensor({2, 2}, DType::kFloat32), y = host_tensor({2}, DType::kInt64), none;
  const std::vector<std::int64_t> rows = {0, 8};
  const std::string message = error_of([&] { joined->read(rows, x, y, none); });
  EXPECT_NE(message.find(folder_.file("b.h5")), std::string::npos) << message;
  EXPECT_NE(message.find("row 3, column 0 holds NaN"), std::string::npos) << message;
  const std::string missing = error_of([&] {
    open(std::vector{folder_.file("a.h5"), folder_.file("gone.h5")});
  });
  EXPECT_NE(missing.find("gone.h5: cannot open the file"), std::string::npos) << missing;
}

}  // namespace
}  // namespace lockstep
