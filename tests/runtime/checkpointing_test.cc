// What checkpoints hold, which of them stay, and what a resume refuses.
#include "runtime/run/checkpointing.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class CheckpointingTest : public ::testing::Test {
 protected:
  CheckpointingTest() {
    std::string pattern = (fs::temp_directory_path() / "lockstep-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    ParamSpec weight;
    weight.file_shape = {2, 3};
    weight.layout.kind = ParamLayout::Kind::kLinear;
    params_.add("fc.weight", weight);
    params_.place();
    values_.resize(static_cast<std::size_t>(params_.elements()));
    moments_ = values_;
    for (int i = 0; i < 6; ++i) values_[static_cast<std::size_t>(i)] = static_cast<float>(i) + 0.5f;
  }
  ~CheckpointingTest() override { fs::remove_all(folder_); }

  void write(CheckpointWriter& writer, std::int64_t step, std::int64_t best) {
    TrainingState state;
    state.step = step;
    state.declared.best_step = best;
    writer.write({step, values_, {moments_}}, state);
    writer.wait();
  }
  std::vector<std::int64_t> steps() const {
    std::vector<std::int64_t> result;
    for (const CheckpointFile& file : list_checkpoints(folder_)) result.push_back(file.step);
    return result;
  }
  std::string load_error(const ParamSet& params, const std::vector<std::string>& states) {
    const std::string file = folder_ + "/" + checkpoint_name(1);
    std::vector<float> values(static_cast<std::size_t>(params.elements()));
    std::vector<std::vector<float>> buffers(states.size(), values);
    std::vector<float*> pointers;
    for (std::vector<float>& buffer : buffers) pointers.push_back(buffer.data());
    try {
      load_tensors(read_checkpoint(file), file, params, states, *backend_, values.data(), pointers);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  std::string folder_;
  std::unique_ptr<Backend> backend_ = make_cpu_backend(best_isa());
  ParamSet params_;
  std::vector<float> values_, moments_;
};

TEST_F(CheckpointingTest, StateComesBackToTheBit) {
  TrainingState state;
  state.step = 12345678901;
  state.identity = {"[run]\nseed = 1\n", "0123456789abcdef", "fedcba9876543210"};
  state.declared.epoch_sums.loss = 0.1 + 0.2;
  state.declared.epoch_sums.weight = 1e-300;
  state.declared.epoch_sums.metrics = {1.0 / 3, 5e-324, 1e300, -0.0};
  state.declared.best_metric = 2.0 / 3;
  state.declared.best_step = 7;
  state.declared.evaluations_without_gain = 2;
  EXPECT_EQ(state_to_json(state).find("phase_starts"), std::string::npos);  // there are none
  state.declared.phase_starts = {0, 120};
  const TrainingState back = state_from_json(state_to_json(state), "file");
  EXPECT_EQ(state_to_json(back), state_to_json(state));
  EXPECT_EQ(back.step, state.step);
  EXPECT_EQ(back.declared.epoch_sums.loss, 0.1 + 0.2);
  EXPECT_EQ(back.declared.epoch_sums.metrics, state.declared.epoch_sums.metrics);
  EXPECT_EQ(back.declared.best_metric, state.declared.best_metric);
  EXPECT_EQ(back.declared.phase_starts, state.declared.phase_starts);
  EXPECT_THROW(state_from_json("{}", "file"), Error);
  EXPECT_THROW(state_from_json("not JSON", "file"), Error);
}

TEST_F(CheckpointingTest, TheNewestAndTheBestAreKept) {
  CheckpointWriter writer(folder_, 2, params_, {"m"}, *backend_);
  write(writer, 1, 0);
  write(writer, 2, 2);
  write(writer, 3, 2);
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{3, 2}));
  write(writer, 4, 2);
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{4, 3, 2}));
  write(writer, 5, 5);
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{5, 4}));
}

TEST_F(CheckpointingTest, WeightsAndMomentsComeBack) {
  CheckpointWriter writer(folder_, 2, params_, {"m"}, *backend_);
  moments_[2] = -7;
  write(writer, 1, 0);
  const Checkpoint checkpoint = read_checkpoint(folder_ + "/" + checkpoint_name(1));
  std::vector<float> values(values_.size()), moments(values_.size());
  load_tensors(checkpoint, "file", params_, {"m"}, *backend_, values.data(), {moments.data()});
  EXPECT_EQ(values, values_);
  EXPECT_EQ(moments, moments_);
}

TEST_F(CheckpointingTest, TheNextPhaseKeepsWhatGoesOnTraining) {
  const auto number = [](float value) {
    const Tensor tensor = host_tensor({1}, DType::kFloat32);
    tensor.data<float>()[0] = value;
    return tensor;
  };
  ParamSet params;
  ParamSpec spec;
  spec.file_shape = {1};
  for (const char* name : {"goes_on", "begins", "ends"})
    params.add(name, spec)->trains = std::string(name) != "ends";
  std::vector<NamedTensor> tensors;
  float value = 1;
  for (const char* name : {"goes_on", "begins", "ends"})
    tensors.push_back({std::string("weights/") + name, number(value++)});
  for (const char* name : {"goes_on", "ends"})
    for (const char* state : {"m/", "average/"})
      tensors.push_back({std::string(state) + name, number(value++)});
  std::map<std::string, float> next;
  for (const auto& [name, tensor] : for_next_phase(tensors, params, {"m", "average"}))
    next[name] = tensor.data<float>()[0];
  EXPECT_EQ(next, (std::map<std::string, float>{{"weights/goes_on", 1},
                                                {"weights/begins", 2},
                                                {"weights/ends", 3},
                                                {"m/goes_on", 4},
                                                {"average/goes_on", 5},
                                                {"m/begins", 0},
                                                {"average/begins", 2}}));
  std::map<std::string, float> trained;
  for (const auto& [name, tensor] : trained_weights(tensors))
    trained[name] = tensor.data<float>()[0];
  EXPECT_EQ(trained, (std::map<std::string, float>{{"goes_on", 5}, {"begins", 2}, {"ends", 7}}));
}

TEST_F(CheckpointingTest, AnotherNetworkOrOptimizerIsNamed) {
  CheckpointWriter writer(folder_, 2, params_, {"m"}, *backend_);
  write(writer, 1, 0);
  EXPECT_EQ(load_error(params_, {"m"}), "");
  EXPECT_NE(load_error(params_, {"m", "v"}).find("under 'v/' it lacks fc.weight"),
            std::string::npos);
  EXPECT_NE(load_error(params_, {}).find("2 tensors, but this network and optimizer have 1"),
            std::string::npos);
  ParamSet other;
  ParamSpec wide;
  wide.file_shape = {2, 4};
  other.add("fc.weight", wide);
  other.place();
  const std::string shapes = load_error(other, {"m"});
  EXPECT_NE(shapes.find("(2, 3)"), std::string::npos);
  EXPECT_NE(shapes.find("(2, 4)"), std::string::npos);
}

TEST_F(CheckpointingTest, ADamagedOneIsPassedOver) {
  CheckpointWriter writer(folder_, 3, params_, {"m"}, *backend_);
  write(writer, 1, 0);
  write(writer, 2, 0);
  std::fstream file(folder_ + "/" + checkpoint_name(2),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-20, std::ios::end);
  file.put('!');
  file.close();
  const std::optional<FoundCheckpoint> found = latest_checkpoint(folder_);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->path, folder_ + "/" + checkpoint_name(1));
  ASSERT_EQ(found->refused.size(), 1u);
  EXPECT_NE(found->refused[0].find(checkpoint_name(2)), std::string::npos);
  fs::remove(found->path);
  EXPECT_THROW(latest_checkpoint(folder_), Error);
  fs::remove(folder_ + "/" + checkpoint_name(2));
  EXPECT_FALSE(latest_checkpoint(folder_));
}

TEST_F(CheckpointingTest, AFailedWriteIsThrownByTheNextCall) {
  CheckpointWriter writer(folder_ + "/absent", 2, params_, {"m"}, *backend_);
  writer.write({1, values_, {moments_}}, {});
  EXPECT_THROW(writer.wait(), Error);
}

}  // namespace
}  // namespace lockstep
