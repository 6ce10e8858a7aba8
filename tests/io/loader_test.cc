// Loaders: what comes out is a pure function of dataset, seed, plan and step, from memory and from
// reader threads alike; errors surface at their own step; nothing hangs.
#include "io/loading/loader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "tests/io/h5_files.h"

namespace lockstep {
namespace {

// x[n] = (n, 1000 + n), y[n] = n % 7. Row `bad_row` cannot be read; `delay` is that of each read.
// With chunk_rows > 1 rows are packed, and `unpacked` counts their chunks, each once a read.
class NumberedRows : public Dataset {
 public:
  explicit NumberedRows(std::int64_t rows) : rows_(rows) {}

  const DatasetInfo& info() const override { return info_; }
  std::int64_t rows() const override { return rows_; }
  Shape sample_shape() const override { return {2}; }
  DType x_type() const override { return DType::kInt64; }
  TargetKind target() const override { return TargetKind::kClass; }
  std::int64_t target_columns() const override { return 1; }
  std::int64_t class_count() const override { return 7; }
  bool has_weight() const override { return false; }
  std::string access() const override { return "made up"; }
  std::size_t row_bytes() const override { return 24; }
  std::string checksum() const override { return ""; }
  void read(std::span<const std::int64_t> rows, Tensor& x, Tensor& y, Tensor&) const override {
    reads += 1;
    std::set<std::int64_t> chunks;
    for (const std::int64_t row : rows) chunks.insert(chunk_of(row));
    unpacked += static_cast<std::int64_t>(chunks.size());
    std::this_thread::sleep_for(delay);
    ASSERT_EQ(x.rows(), static_cast<std::int64_t>(rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] == bad_row) throw Error("row {} is bad", rows[i]);
      x.data<std::int64_t>()[2 * i] = rows[i];
      x.data<std::int64_t>()[2 * i + 1] = 1000 + rows[i];
      y.data<std::int64_t>()[i] = rows[i] % 7;
    }
  }

  bool packed() const override { return chunk_rows > 1; }
  std::int64_t chunk_of(std::int64_t row) const override { return row / chunk_rows; }

  std::int64_t chunk_rows = 1;
  mutable std::atomic<std::int64_t> unpacked{0};
  std::int64_t bad_row = -1;
  std::chrono::microseconds delay{0};
  mutable std::atomic<int> reads{0};

 private:
  DatasetInfo info_;
  std::int64_t rows_;
};

// The rows that shard `shard` of step `step` must hold.
std::vector<std::int64_t> expected_rows(const LoaderOptions& options, std::int64_t step,
                                        std::int64_t shard) {
  const BatchPlan& plan = options.plan;
  const std::int64_t epoch = step / plan.steps_per_epoch(), at = step % plan.steps_per_epoch();
  std::vector<std::int64_t> order(static_cast<std::size_t>(plan.rows));
  std::iota(order.begin(), order.end(), 0);
  if (options.shuffle) order = epoch_order(options.seed, epoch, plan.rows);
  const BatchPlan::Range range = plan.shard_rows(at, shard);
  const auto first = order.begin() + at * plan.batch;
  return {first + range.begin, first + range.end};
}

void expect_batch(const LoaderOptions& options, std::int64_t step, std::int64_t shard,
                  const ShardBatch& batch) {
  const std::vector<std::int64_t> rows = expected_rows(options, step, shard);
  ASSERT_EQ(batch.rows, static_cast<std::int64_t>(rows.size())) << step << " " << shard;
  ASSERT_EQ(batch.x.shape(), (Shape{batch.rows, 2}));
  ASSERT_EQ(batch.y.shape(), Shape{batch.rows});
  EXPECT_FALSE(batch.weight);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(batch.sample_ids.data<std::int64_t>()[i], rows[i]) << step << " " << shard;
    ASSERT_EQ(batch.x.data<std::int64_t>()[2 * i], rows[i]);
    ASSERT_EQ(batch.x.data<std::int64_t>()[2 * i + 1], 1000 + rows[i]);
    ASSERT_EQ(batch.y.data<std::int64_t>()[i], rows[i] % 7);
  }
}

// One worker thread a shard, as in training; each holds its batch while others go ahead.
void run_workers(Loader& loader, const LoaderOptions& options, std::int64_t steps) {
  std::vector<std::thread> workers;
  for (std::int64_t shard : options.shards)
    workers.emplace_back([&, shard] {
      for (std::int64_t step = options.first_step; step < options.first_step + steps; ++step) {
        const ShardBatch& batch = loader.fetch(step, shard);
        std::this_thread::yield();
        expect_batch(options, step, shard, batch);
      }
    });
  for (std::thread& worker : workers) worker.join();
}

LoaderOptions random_options(std::mt19937& random, std::int64_t rows) {
  LoaderOptions options;
  options.plan.rows = rows;
  options.plan.batch = 1 + static_cast<std::int64_t>(random() % 40);
  options.plan.shards = std::int64_t{1} << random() % 4;
  options.plan.drop_last = random() % 2 == 0 && rows >= options.plan.batch;
  options.seed = random();
  options.shuffle = random() % 4 != 0;
  const auto first = static_cast<std::int64_t>(random()) % options.plan.shards;
  for (std::int64_t shard = first; shard < options.plan.shards; ++shard)
    options.shards.push_back(shard);
  options.resident = random() % 2 == 0;
  options.reader_threads = 1 + static_cast<int>(random() % 3);
  options.look_ahead = 1 + static_cast<int>(random() % 3);
  options.first_step = static_cast<std::int64_t>(random() % 50);
  return options;
}

TEST(Loader, GivesThePlannedRows) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int trial = 0; trial < 40; ++trial) {
    const auto rows = 1 + static_cast<std::int64_t>(random() % 100);
    LoaderOptions options = random_options(random, rows);
    const auto steps = static_cast<std::int64_t>(random() % 60);
    if (random() % 2 == 0) options.last_step = options.first_step + steps;
    if (options.last_step == 0 && random() % 2 == 0) options.last_step = 1000;
    SCOPED_TRACE(fmt::format("trial {}: {} rows, batch {}, {} shards, resident {}", trial, rows,
                             options.plan.batch, options.plan.shards, options.resident));
    const auto dataset = std::make_shared<NumberedRows>(rows);
    dataset->chunk_rows = 1 + static_cast<std::int64_t>(random() % 2 * (random() % 20));
    const auto loader = Loader::make(dataset, options);
    run_workers(*loader, options, steps);
    if (HasFatalFailure()) return;
  }
}

TEST(Loader, ShortBatchesAndEmptyShards) {
  LoaderOptions options;
  options.plan = {.rows = 11, .batch = 8, .shards = 4};
  options.shards = {0, 1, 2, 3};
  for (bool resident : {true, false}) {
    options.resident = resident;
    const auto loader = Loader::make(std::make_shared<NumberedRows>(11), options);
    std::vector<std::int64_t> counts;
    for (std::int64_t step = 0; step < 2; ++step)
      for (std::int64_t shard = 0; shard < 4; ++shard)
        counts.push_back(loader->fetch(step, shard).rows);
    EXPECT_EQ(counts, (std::vector<std::int64_t>{2, 2, 2, 2, 0, 1, 1, 1}));
  }
}

TEST(Loader, ErrorsSurfaceAtTheirStepOnly) {
  LoaderOptions options;
  options.plan = {.rows = 40, .batch = 8, .shards = 2};
  options.shuffle = false;
  options.shards = {0, 1};
  options.reader_threads = 3;
  for (bool resident : {true, false}) {
    options.resident = resident;
    const auto dataset = std::make_shared<NumberedRows>(40);
    dataset->bad_row = 21;  // step 2, shard 1
    const auto loader = Loader::make(dataset, options);
    for (std::int64_t step = 0; step < 5; ++step)
      for (std::int64_t shard = 0; shard < 2; ++shard)
        EXPECT_EQ(error_of([&] { loader->fetch(step, shard); }),
                  step == 2 && shard == 1 ? "row 21 is bad" : "");
  }
}

TEST(Loader, ReadsAheadButNoFurther) {
  LoaderOptions options;
  options.plan = {.rows = 1000, .batch = 10, .shards = 1};
  options.shards = {0};
  options.look_ahead = 3;
  const auto dataset = std::make_shared<NumberedRows>(1000);
  const auto loader = Loader::make(dataset, options);
  const auto settled = [&](int expected) {  // what has been read a while after so much was
    while (dataset->reads < expected) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return dataset->reads.load();
  };
  EXPECT_EQ(settled(3), 3);
  loader->fetch(0, 0);
  EXPECT_EQ(settled(4), 4);
}

TEST(Loader, CanBeDroppedAtAnyTime) {
  LoaderOptions options;
  options.plan = {.rows = 1000, .batch = 16, .shards = 4};
  options.shards = {0, 1, 2, 3};
  options.reader_threads = 4;
  const auto dataset = std::make_shared<NumberedRows>(1000);
  dataset->delay = std::chrono::microseconds(300);
  for (int steps = 0; steps < 4; ++steps) {
    const auto loader = Loader::make(dataset, options);
    run_workers(*loader, options, steps);
  }
}

TEST(Loader, WaitsForSlowReaders) {
  LoaderOptions options;
  options.plan = {.rows = 64, .batch = 16, .shards = 2};
  options.shards = {0, 1};
  options.reader_threads = 2;
  options.last_step = 8;
  const auto dataset = std::make_shared<NumberedRows>(64);
  dataset->delay = std::chrono::milliseconds(2);
  const auto loader = Loader::make(dataset, options);
  run_workers(*loader, options, 8);
  EXPECT_EQ(dataset->reads, 16) << "each shard of each step once, and nothing past the last step";
}

// The chunks that a step's rows lie in are unpacked once for all shards of the rank.
TEST(Loader, ChunksAreUnpackedOnceAStep) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int trial = 0; trial < 20; ++trial) {
    const auto dataset =
        std::make_shared<NumberedRows>(1 + static_cast<std::int64_t>(random() % 200));
    dataset->chunk_rows = 2 + static_cast<std::int64_t>(random() % 20);
    LoaderOptions options = random_options(random, dataset->rows());
    options.resident = false;
    const std::int64_t steps = 1 + static_cast<std::int64_t>(random() % 9);
    options.last_step = options.first_step + steps;
    std::int64_t chunks = 0;
    for (std::int64_t step = options.first_step; step < options.last_step; ++step) {
      std::set<std::int64_t> needed;
      for (const std::int64_t shard : options.shards)
        for (const std::int64_t row : expected_rows(options, step, shard))
          needed.insert(dataset->chunk_of(row));
      chunks += static_cast<std::int64_t>(needed.size());
    }
    const auto loader = Loader::make(dataset, options);
    run_workers(*loader, options, steps);
    EXPECT_EQ(dataset->unpacked, chunks);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Loader, AStepWithABadChunkFailsForEveryShard) {
  LoaderOptions options;
  options.plan = {.rows = 60, .batch = 20, .shards = 4};
  options.shards = {0, 1, 2, 3};
  options.shuffle = false;
  options.reader_threads = 3;
  const auto dataset = std::make_shared<NumberedRows>(60);
  dataset->chunk_rows = 4;
  dataset->bad_row = 33;
  const auto loader = Loader::make(dataset, options);
  for (std::int64_t step = 0; step < 9; ++step)  // three epochs: an error is not remembered
    for (const std::int64_t shard : options.shards) {
      if (step % 3 == 1)
        EXPECT_EQ(error_of([&] { loader->fetch(step, shard); }), "row 33 is bad");
      else
        expect_batch(options, step, shard, loader->fetch(step, shard));
    }
}

TEST(Loader, MistakesAreNamed) {
  LoaderOptions options;
  options.plan = {.rows = 10, .batch = 16, .shards = 2, .drop_last = true};
  options.shards = {1};
  const auto dataset = std::make_shared<NumberedRows>(10);
  EXPECT_NE(error_of([&] { Loader::make(dataset, options); }).find("lower training.batch"),
            std::string::npos);
  options.plan.drop_last = false;
  for (bool resident : {true, false}) {
    options.resident = resident;
    const auto loader = Loader::make(dataset, options);
    EXPECT_NE(error_of([&] { loader->fetch(0, 0); }).find("not one of this loader's"),
              std::string::npos);
  }
  const auto loader = Loader::make(dataset, options);
  EXPECT_NE(error_of([&] { loader->fetch(3, 1); }).find("step 3 of shard 1"), std::string::npos);
}

// Files of other layouts go through the HDF5 library; the batches are the same.
class LoaderOfFiles : public H5pyFiles {};

TEST_F(LoaderOfFiles, RowsOfAPackedFileShareChunks) {
  const auto open = [](FileNames files) {
    return Dataset::open({.file = std::move(files), .group = "/train"});
  };
  const auto packed = open(file("images_gzip")), plain = open(file("images_contiguous"));
  const auto joined = open(std::vector{file("images_contiguous"), file("images_gzip")});
  EXPECT_FALSE(plain->packed());
  EXPECT_TRUE(packed->packed());
  EXPECT_TRUE(joined->packed());
  const std::int64_t rows = packed->rows();  // of each file
  ASSERT_GT(rows, 16);
  for (std::int64_t row = 0; row < rows; ++row) {
    EXPECT_EQ(plain->chunk_of(row), row);
    EXPECT_EQ(packed->chunk_of(row), row / 16);
    EXPECT_EQ(joined->chunk_of(row), row);
    EXPECT_EQ(joined->chunk_of(rows + row), rows + row / 16);
  }
}

TEST_F(LoaderOfFiles, LayoutsGiveTheSameBatches) {
  LoaderOptions options;
  options.plan = {.rows = 50, .batch = 16, .shards = 2};
  options.shards = {0, 1};
  options.reader_threads = 2;
  options.seed = std::random_device{}();
  SCOPED_TRACE(options.seed);
  std::vector<std::unique_ptr<Loader>> loaders;
  for (const char* name : {"images_contiguous", "images_gzip", "images_virtual"})
    loaders.push_back(
        Loader::make(Dataset::open({.file = file(name), .group = "/train"}), options));
  for (std::int64_t step = 0; step < 12; ++step)
    for (std::int64_t shard = 0; shard < 2; ++shard) {
      const ShardBatch& first = loaders[0]->fetch(step, shard);
      for (std::size_t other = 1; other < loaders.size(); ++other) {
        const ShardBatch& batch = loaders[other]->fetch(step, shard);
        ASSERT_EQ(batch.x.shape(), first.x.shape());
        EXPECT_TRUE(std::equal(first.x.raw(), first.x.raw() + first.x.bytes(), batch.x.raw()));
        EXPECT_TRUE(std::equal(first.y.raw(), first.y.raw() + first.y.bytes(), batch.y.raw()));
      }
    }
}

}  // namespace
}  // namespace lockstep
