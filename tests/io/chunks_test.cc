// Chunked datasets past the HDF5 library: every chunk index, filter and type that h5py and h5repack
// write gives the library's bytes; damaged files give an error; work is counted, not timed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>

#include "io/dataset/chunked_rows.h"
#include "io/dataset/dataset.h"
#include "io/dataset/row_reader.h"
#include "io/hdf5/chunk_store.h"
#include "tests/io/h5_files.h"

namespace lockstep {
namespace {

struct MakeChunks {
  static constexpr const char* kName = "make_chunks.py";
  static constexpr const char* kNeeds = "python3-numpy, python3-h5py and hdf5-tools";
};

class Chunks : public FilesOf<MakeChunks> {
 protected:
  static std::string path(const std::string& name) {
    return file(name);
  }  // tests call files `file`
  static std::shared_ptr<const FileReader> reader(const std::string& name) {
    return std::make_shared<const FileReader>(path(name));
  }

  const unsigned seed_ = std::random_device{}();
};

constexpr const char* kFiles[] = {"forms_earliest",    "forms_latest", "user_block_earliest",
                                  "user_block_latest", "repacked",     "repacked_latest"};

std::vector<std::int64_t> first_rows(std::int64_t count) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

std::vector<std::int64_t> shuffled_rows(const hdf5::Dataset& dataset, unsigned seed) {
  std::vector<std::int64_t> rows = first_rows(std::min<std::int64_t>(dataset.rows(), 1000));
  std::mt19937 random(seed);
  std::shuffle(rows.begin(), rows.end(), random);
  rows.push_back(rows.front());
  rows.push_back(dataset.rows() - 1);
  return rows;
}

// Both ways of reading, of the same rows as one type.
void expect_same_bytes(const RowReader& reader, const std::vector<std::int64_t>& rows) {
  const hdf5::Dataset& dataset = reader.dataset();
  std::vector<std::byte> own(rows.size() * reader.row_bytes(), std::byte{0xA5}), library(own);
  reader.read(rows, own.data());
  std::vector<std::int64_t> one(1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    one[0] = rows[i];
    dataset.read_rows(one, reader.type(), library.data() + i * reader.row_bytes());
  }
  EXPECT_TRUE(own == library) << name_of(reader.type()) << " " << reader.access();
}

TEST_F(Chunks, EveryFormGivesTheLibrarysBytes) {
  SCOPED_TRACE(seed_);
  int datasets = 0;
  for (const char* name : kFiles) {
    const hdf5::File file = hdf5::File::open(path(name));
    for (const std::string& dataset_path : file.datasets()) {
      SCOPED_TRACE(std::string(name) + dataset_path);
      const hdf5::Dataset dataset = file.dataset(dataset_path);
      const bool by_library = dataset_path.starts_with("/library");
      for (const DType type : {DType::kFloat32, DType::kInt64, DType::kUInt8}) {
        if (element_conversion(dataset.type(), type, false) == nullptr) continue;
        const RowReader rows(dataset, reader(name), type);
        ASSERT_EQ(rows.chunks() == nullptr, by_library) << rows.access();
        EXPECT_EQ(rows.access().find("through the HDF5 library") != std::string::npos, by_library);
        expect_same_bytes(rows, shuffled_rows(dataset, seed_));
        if (dataset.rows() < 1000) expect_same_bytes(rows, first_rows(dataset.rows()));
        ++datasets;
      }
    }
  }
  EXPECT_GT(datasets, 200);
}

class MemorySource final : public hdf5::ByteSource {
 public:
  explicit MemorySource(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    bytes.resize(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
  }
  std::uint64_t size() const override { return bytes.size(); }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    ASSERT_LE(offset + out.size(), bytes.size()) << "read past the end";
    ++reads;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  }
  std::vector<std::byte> bytes;
  mutable std::int64_t reads = 0;
};

TEST_F(Chunks, ManyChunksAreFoundInOneWalk) {
  const hdf5::Dataset dataset = hdf5::File::open(path("sixty_thousand")).dataset("/x");
  const MemorySource source(path("sixty_thousand"));
  const std::vector<hdf5::Chunk> chunks = hdf5::walk_chunks(
      source, dataset.where(), dataset.object_header(), dataset.chunk_storage()->grid);
  EXPECT_EQ(chunks.size(), 60000u);
  EXPECT_LT(source.reads, 6000) << "two a node of the tree, not one a chunk";
  const RowReader rows(dataset, reader("sixty_thousand"), DType::kUInt8);
  expect_same_bytes(rows, {59999, 0, 31415, 27182});
}

TEST_F(Chunks, AChunkIsUnpackedOnceForAllItsRows) {
  SCOPED_TRACE(seed_);
  const hdf5::Dataset dataset = hdf5::File::open(path("automatic")).dataset("/small");
  constexpr std::int64_t kChunks = 10 * 2 * 2;
  {
    const RowReader rows(dataset, reader("automatic"), DType::kUInt8);
    expect_same_bytes(rows, shuffled_rows(dataset, seed_));  // in one call
    EXPECT_EQ(rows.chunks()->chunks_unpacked(), kChunks);
  }
  const RowReader rows(dataset, reader("automatic"), DType::kUInt8);
  std::vector<std::byte> out(7 * rows.row_bytes());
  for (std::int64_t begin = 0; begin + 7 <= dataset.rows(); begin += 7) {  // in order, in pieces
    std::vector<std::int64_t> block = first_rows(7);
    for (std::int64_t& row : block) row += begin;
    rows.read(block, out.data());
  }
  EXPECT_EQ(rows.chunks()->chunks_unpacked(), kChunks);
}

TEST_F(Chunks, ASmallCacheHoldsTheChunksOfARow) {
  SCOPED_TRACE(seed_);
  const hdf5::Dataset dataset = hdf5::File::open(path("automatic")).dataset("/small");
  constexpr std::int64_t kBands = 10, kTiles = 2 * 2;
  const RowReader rows(dataset, reader("automatic"), DType::kUInt8, 1);
  EXPECT_EQ(rows.chunks()->cache_bytes(), 100u * 8 * 8);
  std::vector<std::byte> out(10 * rows.row_bytes());
  for (std::int64_t begin = 0; begin < dataset.rows(); begin += 10) {  // in order, in pieces
    std::vector<std::int64_t> block = first_rows(10);
    for (std::int64_t& row : block) row += begin;
    rows.read(block, out.data());
  }
  EXPECT_EQ(rows.chunks()->chunks_unpacked(), kBands * kTiles);
  expect_same_bytes(rows, shuffled_rows(dataset, seed_));
  EXPECT_GT(rows.chunks()->amplification(16), 50) << "shuffled, it holds next to nothing";
}

TEST_F(Chunks, FilesReadAsOneShareTheCache) {
  const std::vector<std::string> files(3, path("automatic"));
  const auto open = [&](FileNames names, std::size_t cache_bytes) {
    return Dataset::open(
        {.file = std::move(names), .group = "/", .x = "small", .cache_bytes = cache_bytes});
  };
  constexpr std::size_t kAll = 1000 * 8 * 8, kRow = 100 * 8 * 8;  // chunks of each file; of a row
  EXPECT_EQ(open(files.front(), 10 * kAll)->cache_bytes(), kAll);
  EXPECT_EQ(open(files, 10 * kAll)->cache_bytes(), 3 * kAll);
  EXPECT_LE(open(files, kAll)->cache_bytes(), kAll);
  EXPECT_EQ(open(files, 1)->cache_bytes(), 3 * kRow);
  EXPECT_EQ(open(files, 10 * kAll)->shuffle_warning(16), "");
  EXPECT_NE(open(files, kAll)->shuffle_warning(16).find("prepare repack"), std::string::npos);
}

TEST(ChunkCacheTest, HoldsNoMoreThanItsBytes) {
  ChunkCache cache(100, 350);  // three chunks
  int unpacked = 0;
  const auto get = [&](std::size_t index) {
    return cache.get(index, [&](std::span<std::byte> bytes) {
      ++unpacked;
      std::fill(bytes.begin(), bytes.end(), static_cast<std::byte>(index));
    });
  };
  for (std::size_t index : {1, 2, 3, 1, 2, 3}) EXPECT_EQ(get(index)->front(), std::byte(index));
  EXPECT_EQ(unpacked, 3);
  get(4);  // in place of 1, the least recent
  get(2);
  EXPECT_EQ(unpacked, 4);
  get(1);
  EXPECT_EQ(unpacked, 5);
  EXPECT_THROW(cache.get(9, [](std::span<std::byte>) { throw Error("damaged"); }), Error);
  EXPECT_EQ(get(9)->front(), std::byte{9}) << "an error is not remembered";
}

TEST_F(Chunks, ShufflingWithinLargeChunksIsForetold) {
  const hdf5::File file = hdf5::File::open(path("automatic"));
  const RowReader rows(file.dataset("/x"), reader("automatic"), DType::kUInt8);
  // 160 chunks of rows, of which 16 rows at random meet 15.3 on average: 3750 x 15.3 / 16.
  EXPECT_NEAR(rows.chunks()->amplification(16), 3750 * 160 * (1 - std::pow(1 - 1 / 160.0, 16)) / 16,
              1e-6);
  const RowReader small(file.dataset("/small"), reader("automatic"), DType::kUInt8);
  EXPECT_EQ(small.chunks()->amplification(16), 1) << "the cache holds all of it";
  const std::string warning =
      Dataset::open({.file = path("automatic"), .group = "/"})->shuffle_warning(16);
  EXPECT_NE(warning.find("3579 times"), std::string::npos) << warning;
  EXPECT_NE(warning.find("lockstep prepare repack " + path("automatic") + " -o "),
            std::string::npos)
      << warning;
}

TEST_F(Chunks, AWrongChecksumIsAnErrorThatNamesTheChunk) {
  MemorySource source(path("forms_earliest"));
  {
    const hdf5::Dataset dataset =
        hdf5::File::open(path("forms_earliest")).dataset("/sum/growing_twice");
    const auto chunks = hdf5::walk_chunks(source, dataset.where(), dataset.object_header(),
                                          dataset.chunk_storage()->grid);
    source.bytes[chunks.back().address + 3] ^= std::byte{1};
  }
  const ScratchFolder folder;
  const std::string damaged = folder.file("damaged.h5");
  std::ofstream(damaged, std::ios::binary)
      .write(reinterpret_cast<const char*>(source.bytes.data()),
             static_cast<std::streamsize>(source.bytes.size()));
  const RowReader rows(hdf5::File::open(damaged).dataset("/sum/growing_twice"),
                       std::make_shared<const FileReader>(damaged), DType::kUInt8);
  std::vector<std::byte> out(20 * rows.row_bytes());
  rows.read(first_rows(5), out.data());
  const std::string message = error_of([&] { rows.read(first_rows(20), out.data()); });
  EXPECT_NE(message.find(damaged + ": dataset '/sum/growing_twice': chunk (3, 2, 2) at address"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("its checksum is wrong"), std::string::npos) << message;
}

// Any damage to the bytes either leaves the index readable or is told as an Error; nothing is read
// outside the file, and nothing runs for ever.
TEST_F(Chunks, DamagedIndexesAreErrors) {
  SCOPED_TRACE(seed_);
  std::mt19937 random(seed_);
  int refused = 0;
  for (const char* name : {"forms_earliest", "forms_latest"}) {
    const hdf5::File file = hdf5::File::open(path(name));
    const MemorySource whole(path(name));
    for (const char* dataset_path : {"/plain/fixed", "/all/growing", "/all/growing_twice",
                                     "/many/fixed", "/holes/growing_deflate", "/implicit"}) {
      const hdf5::Dataset dataset = file.dataset(dataset_path);
      const hdf5::ChunkGrid& grid = dataset.chunk_storage()->grid;
      const std::uint64_t header = dataset.object_header();
      for (int round = 0; round < 300; ++round) {
        MemorySource source = whole;
        if (round % 10 == 0) source.bytes.resize(random() % source.bytes.size());
        for (int change = 0; change < 40 && !source.bytes.empty(); ++change) {
          // Half of the changes near the object header, which says where the index is.
          const std::uint64_t place = change % 2 == 0 ? random() : header + random() % 400;
          source.bytes[place % source.bytes.size()] = static_cast<std::byte>(random());
        }
        try {
          hdf5::walk_chunks(source, dataset.where(), header, grid);
        } catch (const Error& error) {
          ++refused;
          EXPECT_NE(std::string(error.what()).find(dataset_path), std::string::npos);
        }
      }
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST_F(Chunks, AVirtualDatasetNamesItsMissingSource) {
  const ScratchFolder folder;
  const std::string command = "cd '" + folder.path() +
                              "' && /usr/bin/python3 -c \""
                              "import h5py, numpy\n"
                              "layout = h5py.VirtualLayout((6, 2), 'f4')\n"
                              "for i in 0, 1:\n"
                              "    with h5py.File(f'part{i}.h5', 'w') as part:\n"
                              "        part['x'] = numpy.full((3, 2), i + 1, 'f4')\n"
                              "    layout[3 * i:3 * i + 3] = "
                              "h5py.VirtualSource(f'part{i}.h5', 'x', (3, 2))\n"
                              "h5py.File('whole.h5', 'w').create_virtual_dataset('x', layout)\"";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string whole = folder.file("whole.h5");
  const auto open = [&] { return hdf5::File::open(whole).dataset("/x"); };
  std::vector<float> values(12);
  open().read_rows(0, 6, DType::kFloat32, values.data());
  EXPECT_EQ(values.front(), 1.0f);
  EXPECT_EQ(values.back(), 2.0f);
  std::filesystem::remove(folder.file("part1.h5"));
  const std::string message = error_of(open);
  EXPECT_NE(message.find(whole + ": dataset '/x': its source file 'part1.h5' is missing"),
            std::string::npos)
      << message;
}

TEST_F(Chunks, ExternalLinksLeadToTheirOwnFile) {
  const ScratchFolder folder;
  const std::string link = folder.file("link.h5");
  const std::string command = "/usr/bin/python3 -c \"import h5py; h5py.File('" + link +
                              "', 'w')['x'] = h5py.ExternalLink('" + path("contiguous") +
                              "', '/x')\"";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const hdf5::Dataset dataset = hdf5::File::open(link).dataset("/x");
  const RowReader rows(dataset, std::make_shared<const FileReader>(link), DType::kInt64);
  EXPECT_EQ(rows.access(), "contiguous, int32 converted to int64, read by pread");
  expect_same_bytes(rows, first_rows(50));
}

}  // namespace
}  // namespace lockstep
