// Datasets: every form that h5py can write is read as the same rows; bad input gives one message
// that names file, dataset, row and column.
#include "io/dataset/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "io/hdf5/hdf5.h"
#include "tests/io/h5_files.h"

namespace lockstep {
namespace {

struct Rows {
  Tensor x, y, weight;
};

Rows read(const Dataset& dataset, const std::vector<std::int64_t>& rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  Rows result;
  result.x = host_tensor(dataset.sample_shape().with_rows(count), dataset.x_type());
  if (dataset.target() == TargetKind::kClass) result.y = host_tensor({count}, DType::kInt64);
  if (dataset.target() == TargetKind::kValues)
    result.y = host_tensor({count, dataset.target_columns()}, DType::kFloat32);
  if (dataset.has_weight()) result.weight = host_tensor({count}, DType::kFloat32);
  dataset.read(rows, result.x, result.y, result.weight);
  return result;
}

std::vector<std::int64_t> all_rows(const Dataset& dataset) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(dataset.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// Some rows out of order, with neighbours and a repetition; the seed is printed on failure.
std::vector<std::int64_t> some_rows(unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int64_t> rows;
  for (int i = 0; i < 20; ++i) {
    const auto row = static_cast<std::int64_t>(random() % 49);
    rows.push_back(row);
    if (i % 3 == 0) rows.push_back(row + 1);
    if (i % 7 == 0) rows.push_back(row);
  }
  return rows;
}

std::unique_ptr<Dataset> open(const std::string& file) {
  return Dataset::open({.file = file, .group = "/train"});
}

class DatasetForms : public H5pyFiles {
 protected:
  void expect_images(const Dataset& dataset, const std::vector<std::int64_t>& rows) {
    ASSERT_EQ(dataset.rows(), 50);
    ASSERT_EQ(dataset.sample_shape(), (Shape{4, 5, 3}));
    ASSERT_EQ(dataset.x_type(), DType::kUInt8);
    ASSERT_EQ(dataset.target(), TargetKind::kClass);
    EXPECT_EQ(dataset.class_count(), 10);
    const Rows got = read(dataset, rows);
    const std::uint8_t* pixel = got.x.data<std::uint8_t>();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(got.y.data<std::int64_t>()[i], 7 * rows[i] % 10);
      for (std::int64_t h = 0; h < 4; ++h)
        for (std::int64_t w = 0; w < 5; ++w)
          for (std::int64_t c = 0; c < 3; ++c)
            ASSERT_EQ(*pixel++, (37 * rows[i] + 11 * h + 5 * w + 3 * c) % 251);
    }
  }

  template <typename T, typename Value>
  void expect_table(const Dataset& dataset, const std::vector<std::int64_t>& rows,
                    const Value& value) {
    ASSERT_EQ(dataset.sample_shape(), Shape{6});
    ASSERT_EQ(dataset.x_type(), dtype_of<T>());
    const Rows got = read(dataset, rows);
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (std::int64_t j = 0; j < 6; ++j)
        ASSERT_EQ(got.x.data<T>()[i * 6 + static_cast<std::size_t>(j)],
                  static_cast<T>(value(rows[i], j)));
    if (!dataset.has_weight()) return;
    for (std::size_t i = 0; i < rows.size(); ++i)
      ASSERT_EQ(got.weight.data<float>()[i], static_cast<float>(rows[i] % 4));
  }

  const unsigned seed_ = std::random_device{}();
};

TEST_F(DatasetForms, ImagesInEveryLayout) {
  SCOPED_TRACE(seed_);
  const std::vector<std::pair<std::string, std::string>> forms = {
      {"images_contiguous", "contiguous, read by pread"},
      {"images_userblock", "contiguous, read by pread"},
      {"images_latest", "contiguous, read by pread"},
      {"images_compact", "contiguous, read by pread"},
      {"images_one_hot", "contiguous, read by pread"},
      {"images_one_hot_i32", "contiguous, read by pread"},
      {"images_chunked", "chunked (7, 2, 5, 3), read by pread"},
      {"images_gzip", "chunked (16, 4, 5, 3), shuffle, deflate, unpacked by own threads"},
      {"images_virtual", "virtual, read through the HDF5 library"}};
  std::string checksum;
  for (const auto& [name, access] : forms) {
    SCOPED_TRACE(name);
    const auto dataset = open(file(name));
    EXPECT_EQ(dataset->access(), access);
    expect_images(*dataset, all_rows(*dataset));
    expect_images(*dataset, some_rows(seed_));
    if (checksum.empty()) checksum = dataset->checksum();
    EXPECT_EQ(dataset->checksum(), checksum) << "the checksum is of the contents alone";
  }
  const auto planes = Dataset::open({.file = file("images_nchw"),
                                     .group = "",
                                     .x = "/pictures/pixels",
                                     .y = "/targets",
                                     .axes = DataSource::Axes::kNchw});
  expect_images(*planes, all_rows(*planes));
  expect_images(*planes, some_rows(seed_));
  EXPECT_EQ(planes->checksum(), checksum);
  EXPECT_NE(open(file("table_f4le"))->checksum(), checksum);
}

TEST_F(DatasetForms, TablesOfEveryType) {
  SCOPED_TRACE(seed_);
  std::string checksum;
  for (const char* kind : {"f4le", "f4be", "f8le", "f8be", "f2le", "i2be", "i1"}) {
    SCOPED_TRACE(kind);
    const auto dataset = open(file(std::string("table_") + kind));
    const auto value = [](std::int64_t n, std::int64_t j) { return n - 3 * j; };
    EXPECT_TRUE(dataset->has_weight());
    expect_table<float>(*dataset, all_rows(*dataset), value);
    expect_table<float>(*dataset, some_rows(seed_), value);
    if (checksum.empty()) checksum = dataset->checksum();
    EXPECT_EQ(dataset->checksum(), checksum);
  }
  const auto wide = open(file("table_u2"));
  expect_table<float>(*wide, all_rows(*wide),
                      [](std::int64_t n, std::int64_t j) { return 1000 * n + j; });
  for (const char* kind : {"i4be", "u4", "i8le", "u8be"}) {
    SCOPED_TRACE(kind);
    const auto dataset = open(file(std::string("tokens_") + kind));
    EXPECT_EQ(dataset->target(), TargetKind::kNone);
    expect_table<std::int64_t>(*dataset, some_rows(seed_),
                               [](std::int64_t n, std::int64_t j) { return 30000 * n + j; });
  }
  EXPECT_NE(open(file("table_f8be"))->access().find("float64, big-endian converted to float32"),
            std::string::npos);
}

TEST_F(DatasetForms, ShapesAndTargets) {
  EXPECT_EQ(open(file("grey"))->sample_shape(), (Shape{4, 5, 1}));
  EXPECT_EQ(open(file("series"))->sample_shape(), (Shape{4, 5}));

  const auto column = open(file("column"));
  EXPECT_EQ(column->sample_shape(), Shape{1});
  EXPECT_EQ(column->target(), TargetKind::kValues);
  EXPECT_EQ(column->target_columns(), 1);
  EXPECT_EQ(read(*column, {20}).y.data<float>()[0], 17.0f);

  const auto values = open(file("values"));
  EXPECT_EQ(values->target_columns(), 2);
  EXPECT_EQ(values->row_bytes(), 6 * sizeof(float) + 2 * sizeof(float));
  const Rows rows = read(*values, {9, 3});
  EXPECT_EQ(rows.y.data<float>()[0], 4.5f);
  EXPECT_EQ(rows.y.data<float>()[3], -3.0f);

  const auto labels = open(file("multi_label"));
  EXPECT_EQ(labels->target(), TargetKind::kValues);
  EXPECT_EQ(labels->target_columns(), 3);

  const auto truth = open(file("booleans"));
  EXPECT_EQ(truth->x_type(), DType::kFloat32);
  EXPECT_EQ(read(*truth, {4}).x.data<float>()[1], 1.0f);
  EXPECT_EQ(read(*truth, {4}).x.data<float>()[2], 0.0f);
}

TEST_F(DatasetForms, AttributesOfOurFiles) {
  const auto dataset = open(file("regression"));
  const DatasetInfo& info = dataset->info();
  EXPECT_EQ(info.task, "regression");
  EXPECT_EQ(info.classes, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(info.mean, (std::vector<double>{1.5, 2.5}));
  EXPECT_EQ(info.std, (std::vector<double>{1, 2}));
  EXPECT_EQ(info.source, "fixed text");
  EXPECT_EQ(dataset->checksum(), "00112233445566ff") << "taken from the file";
  EXPECT_NE(contents_checksum(*dataset), "00112233445566ff");
  EXPECT_EQ(dataset->target(), TargetKind::kValues) << "integers are values in a regression";
  EXPECT_EQ(open(file("images_gzip"))->info().task, "");
}

TEST_F(DatasetForms, ResidentCopyHoldsTheSameRows) {
  SCOPED_TRACE(seed_);
  for (const char* name : {"images_gzip", "images_contiguous", "images_one_hot"}) {
    const auto dataset = open(file(name));
    auto memory = std::make_shared<std::vector<std::byte>>(resident_bytes(*dataset));
    fill_resident(*dataset, *memory, 3);
    const auto resident = resident_dataset(*dataset, *memory, memory);
    expect_images(*resident, some_rows(seed_));
    EXPECT_EQ(resident->checksum(), dataset->checksum());
    EXPECT_EQ(resident->row_bytes(), dataset->row_bytes());
  }
  const auto table = open(file("table_f8be"));
  std::vector<std::byte> memory(resident_bytes(*table));
  fill_resident(*table, memory, 1);
  const auto resident = resident_dataset(*table, memory, nullptr);
  expect_table<float>(*resident, some_rows(seed_),
                      [](std::int64_t n, std::int64_t j) { return n - 3 * j; });
}

// Opens and reads all; the message must hold every text of `wanted`.
void expect_refused(const DataSource& source, const std::vector<std::string>& wanted) {
  SCOPED_TRACE(source.file.text());
  const std::string message = error_of([&] {
    const auto dataset = Dataset::open(source);
    read(*dataset, all_rows(*dataset));
  });
  EXPECT_NE(message, "") << "nothing was refused";
  for (const std::string& text : wanted)
    EXPECT_NE(message.find(text), std::string::npos) << "'" << text << "' is not in: " << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST_F(DatasetForms, BadFilesAreRefused) {
  const auto refused = [&](const std::string& name, const std::vector<std::string>& wanted) {
    std::vector<std::string> texts = wanted;
    texts.push_back(file(name));
    expect_refused({.file = file(name), .group = "/train"}, texts);
  };
  refused("bad_missing", {"cannot open", "No such file", "working directory"});
  refused("bad_not_hdf5", {"not an HDF5 file", "prepare"});
  refused("bad_nothing", {"not an HDF5 file"});
  refused("bad_truncated", {"truncated", "copy or prepare it again"});
  refused("bad_format", {"format 99"});
  refused("bad_lengths", {"'/train/y'", "49 rows", "'/train/x' has 50"});
  refused("bad_empty", {"'/train/x'", "no rows"});
  refused("bad_text", {"'/train/x'", "integers or floats, not text"});
  refused("bad_rank_y", {"'/train/y'", "(50, 2, 2)", "(N) or (N, K)"});
  refused("bad_rank_x", {"'/train/x'", "7 axes"});
  refused("bad_scalar", {"'/train/x'", "0 axes"});
  refused("bad_weight_shape", {"'/train/weight'", "2 weights a row"});
  refused("bad_format", {"format 99", "prepare it again"});
  expect_refused({.file = std::filesystem::temp_directory_path().string(), .group = "/train"},
                 {"this is a folder"});
}

TEST_F(DatasetForms, AbsentDatasetsAreNamedWithThosePresent) {
  expect_refused({.file = file("images_nchw"), .group = "/train"},
                 {"no dataset '/train/x'", "/pictures/pixels, /targets"});
  expect_refused({.file = file("grey"), .group = "train", .y = "labels"},
                 {"no dataset '/train/labels'", "/train/x, /train/y"});
  expect_refused({.file = file("grey"), .group = "train", .weight = "/w"}, {"no dataset '/w'"});
}

TEST_F(DatasetForms, BadValuesAreRefusedByRowAndColumn) {
  const auto refused = [&](const std::string& name, const std::vector<std::string>& wanted) {
    std::vector<std::string> texts = wanted;
    texts.push_back(file(name));
    expect_refused({.file = file(name), .group = "/train"}, texts);
  };
  refused("bad_negative", {"'/train/y'", "row 23 holds the label -2"});
  refused("bad_class", {"'/train/y'", "row 1 holds the label 7", "7 classes (0 to 6)"});
  refused("bad_nan", {"'/train/x'", "row 31, column 4 holds NaN"});
  refused("bad_overflow", {"row 3, column 0", "more than float32 can hold"});
  refused("bad_nan_image", {"'/train/x'", "row 12, element (1, 2, 0) holds NaN"});
  refused("bad_nan_target", {"'/train/y'", "row 44, column 1 holds NaN"});
  refused("bad_weight", {"'/train/weight'", "row 9 holds the weight -1"});
  refused("bad_one_hot", {"'/train/y'", "row 1500 does not hold a single 1"});
  expect_refused({.file = file("grey"), .group = "/train", .classes = 9},
                 {"row 7 holds the label 9", "9 classes"});
}

TEST_F(DatasetForms, BadRowsAreNamedWhateverTheOrder) {
  const auto dataset = open(file("bad_nan"));
  EXPECT_EQ(error_of([&] { read(*dataset, {5, 4, 3}); }), "");
  EXPECT_NE(error_of([&] {
              read(*dataset, {40, 31, 2});
            }).find("row 31, column 4"),
            std::string::npos);
  std::vector<std::byte> memory(resident_bytes(*dataset));
  EXPECT_NE(error_of([&] { fill_resident(*dataset, memory, 3); }).find("row 31, column 4"),
            std::string::npos);
}

TEST(Dataset, TargetsThatTheLossCannotTakeAreRefused) {
  const ScratchFolder folder;
  const std::string path = folder.file("soft.h5");
  const std::vector<float> x(4), weight = {1, 1, 1, 0};
  const auto message = [&](std::vector<float> y, TargetRule rule, bool weighted = false) {
    {
      hdf5::File file = hdf5::File::create(path);
      file.write("/train/x", {4, 1}, DType::kFloat32, x.data());
      file.write("/train/y", {4, 2}, DType::kFloat32, y.data());
      if (weighted) file.write("/train/weight", {4}, DType::kFloat32, weight.data());
    }
    const auto dataset = Dataset::open({.file = path, .group = "/train", .targets = rule});
    const std::string read_error = error_of([&] { read(*dataset, {3, 2, 0, 1}); });
    std::vector<std::byte> memory(resident_bytes(*dataset));
    EXPECT_EQ(error_of([&] { fill_resident(*dataset, memory, 2); }), read_error);
    return read_error;
  };
  constexpr auto kAny = TargetRule::kAny, kProbabilities = TargetRule::kProbabilities,
                 kDistributions = TargetRule::kDistributions;
  const auto says = [&](const std::string& text, const std::vector<std::string>& words) {
    for (const std::string& word : words)
      EXPECT_NE(text.find(word), std::string::npos) << word << " is not in: " << text;
  };
  const std::vector<float> heights = {0, 1, .5f, .5f, .3f, 65, 1, 0};
  EXPECT_EQ(message(heights, kAny), "");
  for (const TargetRule rule : {kProbabilities, kDistributions})
    says(message(heights, rule),
         {path, "'/train/y'", "row 2, column 1", "65", "0 to 1", "\"mse\""});
  says(message({0, 1, .5f, .5f, 1, 0, -.01f, 1.01f}, kProbabilities), {"row 3, column 0", "-0.01"});

  const std::vector<float> each = {0, 1, 1, 1, .25f, .75f, 1, 0};
  EXPECT_EQ(message(each, kProbabilities), "");
  says(message(each, kDistributions),
       {path, "'/train/y'", "row 1 add up to 2", "\"binary_cross_entropy\""});
  says(message({.5f, .5f, 1, 0, .5f, .498f, 1, 0}, kDistributions), {"row 2 add up to 0.998"});
  EXPECT_EQ(message({.5f, .5f, 1, 1e-7f, .5f, .4995f, 1.0000001f, 0}, kDistributions), "");

  const std::vector<float> padded = {0, 1, .5f, .5f, 1, 0, 7, -7};
  says(message(padded, kDistributions), {"row 3, column 0", "7"});
  EXPECT_EQ(message(padded, kDistributions, true), "") << "its weight leaves row 3 out";
}

TEST(Dataset, FileChecksumSeesEveryPart) {
  const ScratchFolder folder;
  const auto write = [&](const std::string& name, float last, const hdf5::Storage& storage) {
    hdf5::File out = hdf5::File::create(folder.file(name));
    const std::vector<float> x = {1, 2, 3, 4, 5, last};
    const std::vector<std::int64_t> y = {0, 1, 1};
    for (const char* group : {"/train", "/test"}) {
      out.write(std::string(group) + "/x", {3, 2}, DType::kFloat32, x.data(), storage);
      out.write(std::string(group) + "/y", {3}, DType::kInt64, y.data());
    }
    out.close();
    return file_checksum(folder.file(name));
  };
  const std::string plain = write("plain.h5", 6, {});
  EXPECT_EQ(plain.size(), 16u);
  EXPECT_EQ(write("packed.h5", 6, {.chunk_rows = 2, .deflate = 9}), plain);
  EXPECT_NE(write("other.h5", 7, {}), plain);
}

}  // namespace
}  // namespace lockstep
