// The checkpoint container: what goes in comes out, and no damage passes.
#include "io/formats/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "io/base/file.h"
#include "io/dataset/dataset.h"
#include "tests/io/h5_files.h"
#include "tests/io/plain_file.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<NamedTensor> some_tensors() {
  std::vector<NamedTensor> tensors = {{"value/fc.weight", host_tensor({7, 3}, DType::kFloat32)},
                                      {"norm", host_tensor({}, DType::kFloat64)},
                                      {"mask", host_tensor({5}, DType::kUInt8)},
                                      {"empty", host_tensor({0, 3}, DType::kInt64)}};
  for (const NamedTensor& named : tensors)
    for (std::size_t i = 0; i < named.tensor.bytes(); ++i)
      named.tensor.raw()[i] = static_cast<std::byte>(i * 101 % 251);
  return tensors;
}

class CheckpointFiles : public ::testing::Test {
 protected:
  void SetUp() override { write_checkpoint(path(), kState, some_tensors()); }
  std::string path() const { return folder_.file(checkpoint_name(120)); }
  std::string error_of_reading(const std::string& contents) const {
    save_text(path(), contents);
    return error_of([&] { read_checkpoint(path()); });
  }
  const std::string kState = R"({"step":120,"epoch":1})";
  ScratchFolder folder_;
};

TEST_F(CheckpointFiles, ComeBackAsTheyWere) {
  const Checkpoint checkpoint = read_checkpoint(path());
  EXPECT_EQ(checkpoint.state, kState);
  const auto tensors = some_tensors();
  ASSERT_EQ(checkpoint.tensors.size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, read] = checkpoint.tensors[i];
    EXPECT_EQ(name, tensors[i].name);
    EXPECT_EQ(read.dtype(), tensors[i].tensor.dtype());
    EXPECT_EQ(read.shape(), tensors[i].tensor.shape());
    EXPECT_EQ(std::memcmp(read.raw(), tensors[i].tensor.raw(), read.bytes()), 0);
  }
  EXPECT_EQ(checkpoint.tensor("mask").rows(), 5);
  EXPECT_THAT(error_of([&] { checkpoint.tensor("absent"); }), HasSubstr("'absent'"));
}

TEST_F(CheckpointFiles, EqualStatesGiveEqualBytesWhereverTheyLie) {
  const std::string other = folder_.file("other");
  write_checkpoint(other, kState, some_tensors());
  EXPECT_EQ(read_text(other), read_text(path()));
}

TEST_F(CheckpointFiles, MayHoldNothing) {
  write_checkpoint(path(), "{}", {});
  EXPECT_TRUE(read_checkpoint(path()).tensors.empty());
}

TEST_F(CheckpointFiles, EveryTruncationIsFound) {
  const std::string whole = read_text(path());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_THAT(error_of_reading(whole.substr(0, bytes)), HasSubstr(path())) << bytes;
  EXPECT_THAT(error_of_reading(whole + "x"), HasSubstr("truncated or extended"));
}

TEST_F(CheckpointFiles, EveryFlippedBitIsFound) {
  const std::string whole = read_text(path());
  for (std::size_t bit = 0; bit < 8 * whole.size(); bit += 11) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_NE(error_of_reading(flipped), "") << "bit " << bit;
  }
}

TEST_F(CheckpointFiles, DamageIsNamedByTensorAndPlace) {
  const std::string whole = read_text(path());
  const Tensor weight = some_tensors().front().tensor;
  const std::size_t values =
      whole.find(std::string(reinterpret_cast<const char*>(weight.raw()), weight.bytes()));
  ASSERT_NE(values, std::string::npos);
  std::string damaged = whole;
  damaged[values + 50] = static_cast<char>(damaged[values + 50] ^ 4);
  EXPECT_THAT(error_of_reading(damaged),
              AllOf(HasSubstr("tensor 'value/fc.weight' at byte " + std::to_string(values)),
                    HasSubstr("its checksum is")));
  damaged = whole;
  damaged[whole.find("120")] = '9';
  EXPECT_THAT(error_of_reading(damaged), HasSubstr("the state at byte 40"));
  damaged = whole;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  EXPECT_THAT(error_of_reading(damaged), HasSubstr("the trailer"));
  EXPECT_THAT(error_of_reading(std::string(100, 'x')), HasSubstr("not a lockstep checkpoint"));
}

TEST_F(CheckpointFiles, RandomBytesNeverCrash) {
  std::uint32_t state =
      static_cast<std::uint32_t>(::testing::UnitTest::GetInstance()->random_seed()) + 1u;
  SCOPED_TRACE(state);
  const std::string whole = read_text(path());
  for (int round = 0; round < 100; ++round) {
    std::string damaged = whole;
    for (int change = 0; change < 8; ++change) {
      state = state * 1664525 + 1013904223;
      damaged[(state >> 8) % damaged.size()] = static_cast<char>(state);
    }
    EXPECT_EQ(error_of_reading(damaged).empty(), damaged == whole) << round;
  }
}

TEST_F(CheckpointFiles, AreListedNewestFirst) {
  for (const std::int64_t step : {5, 99999999, 100000000, 40})
    save_text(folder_.file(checkpoint_name(step)), "");
  for (const char* other :
       {"step-5.ckpt", "step-00000007.ckpt.partial", "best.ckpt", "step-x.ckpt"})
    save_text(folder_.file(other), "");
  std::vector<std::int64_t> steps;
  for (const CheckpointFile& file : list_checkpoints(folder_.path())) {
    steps.push_back(file.step);
    EXPECT_TRUE(std::filesystem::exists(file.path));
  }
  EXPECT_EQ(steps, (std::vector<std::int64_t>{100000000, 99999999, 120, 40, 5}));
  EXPECT_TRUE(list_checkpoints(folder_.file("absent")).empty());
}

}  // namespace
}  // namespace lockstep
