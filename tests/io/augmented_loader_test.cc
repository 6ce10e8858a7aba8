// Loaders that augment: each sample's versions are a function of seed, epoch and sample, those of a
// mixed shard of the step too; from memory and from reader threads, from any step on.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "io/augment/affine.h"
#include "io/augment/augmentation.h"
#include "io/augment/crop.h"
#include "io/augment/erasing.h"
#include "io/loading/loader.h"
#include "tests/io/augment_images.h"

namespace lockstep {
namespace {

AugmentOptions list(bool mixes, std::uint64_t seed) {
  AugmentOptions options;
  options.seed = seed;
  options.steps = {
      {std::make_shared<RandomFlip>(RandomFlip::Axis::kHorizontal, 0.5), "0"},
      {std::make_shared<RandomResizedCrop>(ImageSize{9, 7}, Interval{0.3, 1}, Interval{0.8, 1.2}),
       "1"},
      {std::make_shared<Cutout>(3, 0.5, std::vector<double>{7}), "2"},
      {std::make_shared<RandomCrop>(std::nullopt, 1, 5.0), "3"},
      {std::make_shared<RandomFlip>(RandomFlip::Axis::kVertical, 0.5), "4"}};
  if (mixes) options.mix = {.mixup_alpha = 0.5, .cutmix_alpha = 1};
  return options;
}

std::string bytes_of(const Tensor& tensor, std::int64_t row) {
  if (!tensor) return "";
  const std::size_t bytes = tensor.bytes() / static_cast<std::size_t>(tensor.rows());
  const char* const data = reinterpret_cast<const char*>(tensor.raw());
  return {data + static_cast<std::size_t>(row) * bytes, bytes};
}

// Sample and content of every row by (step, shard); workers ask in parallel.
using Stream = std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::string>>;

Stream stream_of(const std::shared_ptr<const Dataset>& dataset, const LoaderOptions& options) {
  const auto loader = Loader::make(dataset, options);
  Stream stream;
  for (std::int64_t step = options.first_step; step < options.last_step; ++step)
    for (const std::int64_t shard : options.shards) stream[{step, shard}];
  std::vector<std::thread> workers;
  for (const std::int64_t shard : options.shards)
    workers.emplace_back([&, shard] {
      for (std::int64_t step = options.first_step; step < options.last_step; ++step) {
        const ShardBatch& batch = loader->fetch(step, shard);
        for (std::int64_t row = 0; row < batch.rows; ++row)
          stream.at({step, shard})
              .push_back(bytes_of(batch.sample_ids, row) + bytes_of(batch.x, row) +
                         bytes_of(batch.y, row) + bytes_of(batch.weight, row));
      }
    });
  for (std::thread& worker : workers) worker.join();
  return stream;
}

TEST(AugmentedLoader, OneStreamEverywhere) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (const bool mixes : {false, true}) {
    for (const DType type : {DType::kUInt8, DType::kFloat32}) {
      const auto dataset =
          std::make_shared<MemoryRows>(random, 37, Shape{12, 10, 3}, type, 5, mixes);
      LoaderOptions options;
      options.plan = {.rows = 2 * 37, .batch = 12, .shards = 4};  // two copies
      options.seed = seed;
      options.shards = {0, 1, 2, 3};
      options.resident = true;
      options.last_step = 20;  // the third epoch
      options.augmentation = std::make_shared<Augmentation>(list(mixes, seed), *dataset, 5);
      const Stream all = stream_of(dataset, options);
      EXPECT_EQ(all, stream_of(dataset, options));
      LoaderOptions later = options;
      later.resident = false;
      later.reader_threads = 3;
      later.first_step = 9;
      later.shards = {1, 2};
      for (const std::int64_t chunk_rows : {1, 4}) {
        dataset->chunk_rows_ = chunk_rows;
        for (const auto& [place, rows] : stream_of(dataset, later))
          EXPECT_EQ(rows, all.at(place)) << "step " << place.first << " shard " << place.second;
      }
    }
  }
}

TEST(AugmentedLoader, VersionsBelongToSeedEpochAndSample) {
  std::mt19937 random(4);
  const auto dataset = std::make_shared<MemoryRows>(random, 16, Shape{12, 10, 3}, DType::kUInt8, 5);
  const auto versions = [&](std::uint64_t seed, std::int64_t copies, std::int64_t batch) {
    LoaderOptions options;
    options.plan = {.rows = 16 * copies, .batch = batch, .shards = 1};
    options.seed = seed;
    options.shards = {0};
    options.resident = true;
    options.last_step = 2 * options.plan.steps_per_epoch();
    options.augmentation = std::make_shared<Augmentation>(list(false, seed), *dataset, 5);
    std::map<std::pair<std::int64_t, std::int64_t>, std::string> images;  // by epoch, sample
    const auto loader = Loader::make(dataset, options);
    for (std::int64_t step = 0; step < options.last_step; ++step) {
      const ShardBatch& batch = loader->fetch(step, 0);
      for (std::int64_t row = 0; row < batch.rows; ++row) {
        const std::int64_t sample = batch.sample_ids.data<std::int64_t>()[row];
        EXPECT_EQ(batch.y.data<std::int64_t>()[row], dataset->y_.data<std::int64_t>()[sample % 16]);
        images[{step / options.plan.steps_per_epoch(), sample}] = bytes_of(batch.x, row);
      }
    }
    return images;
  };
  const auto distinct = [](const auto& images) {
    std::set<std::string> contents;
    for (const auto& [place, image] : images) contents.insert(image);
    return contents.size();
  };
  const auto once = versions(1, 1, 5);
  EXPECT_EQ(once.size(), 32u);
  EXPECT_EQ(distinct(once), 32u) << "every epoch sees another version";
  EXPECT_EQ(once, versions(1, 1, 3)) << "a batch is no part of it";
  const auto tripled = versions(1, 3, 5);
  EXPECT_EQ(tripled.size(), 96u);
  EXPECT_EQ(distinct(tripled), 96u) << "every copy is another version";
  for (const auto& [place, image] : once) EXPECT_EQ(tripled.at(place), image);
  const auto other = versions(2, 1, 5);
  EXPECT_NE(other, once) << "the seed changes nothing";
}

}  // namespace
}  // namespace lockstep
