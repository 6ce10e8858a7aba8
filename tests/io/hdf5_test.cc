// The HDF5 wrapper: what is written is read back, by h5py too; errors carry file, object and the
// library's own words.
#include "io/hdf5/hdf5.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <numeric>
#include <thread>

#include "tests/io/h5_files.h"

namespace lockstep {
namespace {

std::string contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<float> numbers(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.5f);
  return values;
}

TEST(Hdf5, WritesAndReadsBack) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  const std::vector<float> x = numbers(60);
  const std::vector<std::uint8_t> bytes = {1, 2, 255};
  const std::vector<std::int64_t> labels = {-1, std::int64_t{1} << 40, 7};
  {
    hdf5::File file = hdf5::File::create(path);
    file.write("/train/x", {20, 3}, DType::kFloat32, x.data());
    file.write("/train/deep/er/y", {3}, DType::kInt64, labels.data());
    file.write("/packed", {20, 3}, DType::kFloat32, x.data(), {.chunk_rows = 8, .deflate = 4});
    hdf5::Dataset rows = file.create_dataset("/bytes", {3}, DType::kUInt8);
    rows.write_rows(1, 2, DType::kUInt8, bytes.data() + 1);
    rows.write_rows(0, 1, DType::kUInt8, bytes.data());
    file.close();
  }
  const hdf5::File file = hdf5::File::open(path);
  EXPECT_EQ(file.datasets(),
            (std::vector<std::string>{"/bytes", "/packed", "/train/deep/er/y", "/train/x"}));
  EXPECT_TRUE(file.has_group("/train"));
  EXPECT_FALSE(file.has_group("/train/x"));
  EXPECT_FALSE(file.has_dataset("/train"));
  EXPECT_FALSE(file.has_dataset("/none/of/it"));

  for (const char* name : {"/train/x", "/packed"}) {
    const hdf5::Dataset dataset = file.dataset(name);
    EXPECT_EQ(dataset.rows(), 20);
    EXPECT_EQ(dataset.row_elements(), 3);
    EXPECT_EQ(dataset.type().native, DType::kFloat32);
    std::vector<float> got(12);
    dataset.read_rows(5, 4, DType::kFloat32, got.data());
    EXPECT_TRUE(std::equal(got.begin(), got.end(), x.begin() + 15));
    const std::vector<std::int64_t> ascending = {0, 7, 8, 19};
    dataset.read_rows(ascending, DType::kFloat32, got.data());
    for (std::size_t i = 0; i < 12; ++i)
      EXPECT_EQ(got[i], x[static_cast<std::size_t>(ascending[i / 3]) * 3 + i % 3]);
    std::vector<std::int64_t> converted(3);
    dataset.read_rows(2, 1, DType::kInt64, converted.data());
    EXPECT_EQ(converted, (std::vector<std::int64_t>{6, 7, 8}));
  }
  std::vector<std::int64_t> got(3);
  file.dataset("/train/deep/er/y").read_rows(0, 3, DType::kInt64, got.data());
  EXPECT_EQ(got, labels);
  file.dataset("/bytes").read_rows(0, 3, DType::kInt64, got.data());
  EXPECT_EQ(got, (std::vector<std::int64_t>{1, 2, 255}));
}

TEST(Hdf5, ContiguousDatasetsTellTheirPlace) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  const std::vector<float> x = numbers(6000);
  {
    hdf5::File file = hdf5::File::create(path);
    file.write("/x", {1000, 6}, DType::kFloat32, x.data());
    file.write("/packed", {1000, 6}, DType::kFloat32, x.data(), {.chunk_rows = 100});
  }
  const hdf5::File file = hdf5::File::open(path);
  const hdf5::Dataset dataset = file.dataset("/x");
  ASSERT_TRUE(dataset.offset());
  EXPECT_EQ(*dataset.offset() % 4096, 0u);
  const std::string bytes = contents(path);
  EXPECT_EQ(bytes.compare(*dataset.offset(), 24000, reinterpret_cast<const char*>(x.data()), 24000),
            0);
  EXPECT_EQ(dataset.layout(), "contiguous");
  EXPECT_FALSE(file.dataset("/packed").offset());
  EXPECT_EQ(file.dataset("/packed").layout(), "chunked (100, 6)");
}

TEST(Hdf5, AttributesReadBack) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  const std::vector<std::string> classes = {"T-shirt", "", "Zürich"};
  const std::vector<double> wide(20000, 0.25);  // 160 KB: more than an object header holds
  {
    hdf5::File file = hdf5::File::create(path);
    file.set_text("/", "task", "regression");
    file.set_text("/", "task", "classification");  // replaces
    file.set_texts("/", "classes", classes);
    file.set_texts("/", "none", {});
    file.set_numbers("/", "mean", wide);
  }
  {
    hdf5::File file = hdf5::File::modify(path);
    file.set_text("/", "checksum", "added later");
    file.close();
  }
  const hdf5::File file = hdf5::File::open(path);
  EXPECT_EQ(file.text("/", "task"), "classification");
  EXPECT_EQ(file.text("/", "checksum"), "added later");
  EXPECT_EQ(file.texts("/", "classes"), classes);
  EXPECT_EQ(file.texts("/", "none"), std::vector<std::string>{});
  EXPECT_EQ(file.numbers("/", "mean"), wide);
  EXPECT_FALSE(file.text("/", "absent"));
  EXPECT_NE(error_of([&] { file.text("/", "mean"); }).find("'mean' of '/' is no text"),
            std::string::npos);
  EXPECT_NE(error_of([&] { file.numbers("/", "task"); }).find("is no number"), std::string::npos);
  EXPECT_NE(error_of([&] { file.text("/", "classes"); }).find("3 texts, not one"),
            std::string::npos);
}

TEST(Hdf5, SameContentsSameFile) {
  const ScratchFolder folder;
  const std::vector<float> x = numbers(60);
  const auto write = [&](const std::string& path) {
    hdf5::File file = hdf5::File::create(path);
    file.write("/train/x", {20, 3}, DType::kFloat32, x.data());
    file.set_text("/", "task", "classification");
    file.close();
    return contents(path);
  };
  const std::string first = write(folder.file("a.h5"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // times in files are seconds
  EXPECT_TRUE(write(folder.file("b.h5")) == first);
}

TEST(Hdf5, H5pyReadsWhatWeWrite) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  const std::vector<float> x = numbers(60);
  const std::vector<std::string> classes = {"one", "zwölf"};
  const std::vector<double> mean = {1.5, -2};
  hdf5::File file = hdf5::File::create(path);
  file.write("/train/x", {20, 3}, DType::kFloat32, x.data());
  file.write("/packed", {20, 3}, DType::kFloat32, x.data(), {.chunk_rows = 8, .deflate = 4});
  file.set_texts("/", "classes", classes);
  file.set_numbers("/", "mean", mean);
  file.close();
  std::ofstream(folder.file("check.py")) << R"(
import h5py, numpy, sys
with h5py.File(sys.argv[1]) as f:
    for name in "train/x", "packed":
        assert f[name].dtype == numpy.dtype("<f4") and f[name].shape == (20, 3)
        assert (f[name][:].ravel() == numpy.arange(60) + 0.5).all()
    assert f["packed"].chunks == (8, 3) and f["packed"].compression == "gzip"
    assert list(f.attrs["classes"]) == ["one", "zw\u00f6lf"]
    assert list(f.attrs["mean"]) == [1.5, -2.0]
)";
  EXPECT_EQ(std::system(("/usr/bin/python3 " + folder.file("check.py") + " " + path).c_str()), 0)
      << "needs python3-numpy and python3-h5py";
}

TEST(Hdf5, ErrorsNameFileAndObject) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  const std::string missing =
      error_of([&] { hdf5::File::create(folder.file("no/such/folder.h5")); });
  EXPECT_NE(missing.find("no/such/folder.h5: cannot create the file: HDF5:"), std::string::npos)
      << missing;
  hdf5::File file = hdf5::File::create(path);
  const std::vector<float> x = numbers(6);
  file.write("/x", {2, 3}, DType::kFloat32, x.data());
  const std::string twice = error_of([&] { file.create_dataset("/x", {2, 3}, DType::kFloat32); });
  EXPECT_NE(twice.find(path + ": dataset '/x': cannot create it: HDF5:"), std::string::npos)
      << twice;
  std::vector<float> got(6);
  const std::string outside =
      error_of([&] { file.dataset("/x").read_rows(1, 2, DType::kFloat32, got.data()); });
  EXPECT_NE(outside.find("cannot read rows 1 to 2"), std::string::npos) << outside;
  EXPECT_NE(error_of([&] { file.dataset("/y"); }).find("no dataset '/y'; the file holds /x"),
            std::string::npos);
}

TEST(Hdf5, DamagedBlocksAreAnError) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  const std::vector<float> x(6000, 1.25f);
  {
    hdf5::File file = hdf5::File::create(path);
    file.write("/x", {1000, 6}, DType::kFloat32, x.data(), {.chunk_rows = 1000, .deflate = 9});
  }
  std::string bytes = contents(path);
  const std::size_t place = bytes.find("\x78\xda");  // a zlib stream of level 9
  ASSERT_NE(place, std::string::npos);
  for (std::size_t i = 2; i < 20; ++i) bytes[place + i] = '\xff';
  std::ofstream(path, std::ios::binary) << bytes;
  std::vector<float> got(6000);
  const hdf5::File file = hdf5::File::open(path);
  const std::string message =
      error_of([&] { file.dataset("/x").read_rows(0, 1000, DType::kFloat32, got.data()); });
  EXPECT_NE(message.find("dataset '/x': cannot read rows 0 to 999: HDF5:"), std::string::npos)
      << message;
}

TEST(Hdf5, ManyThreadsMayReadAtOnce) {
  const ScratchFolder folder;
  const std::string path = folder.file("a.h5");
  const std::vector<float> x = numbers(6000);
  {
    hdf5::File file = hdf5::File::create(path);
    file.write("/x", {1000, 6}, DType::kFloat32, x.data(), {.chunk_rows = 7, .deflate = 1});
  }
  const hdf5::Dataset dataset = hdf5::File::open(path).dataset("/x");  // keeps the file open
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      std::vector<float> got(60);
      for (std::int64_t begin = static_cast<std::int64_t>(t); begin + 10 <= 1000; begin += 13) {
        dataset.read_rows(begin, 10, DType::kFloat32, got.data());
        wrong[t] += !std::equal(got.begin(), got.end(), x.begin() + begin * 6);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::accumulate(wrong.begin(), wrong.end(), 0), 0);
}

}  // namespace
}  // namespace lockstep
