// Run folders, records, and metrics logs that are cut back to a checkpoint.
#include "runtime/run/run_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "io/base/file.h"
#include "kernels/core/error.h"
#include "runtime/run/metrics_log.h"
#include "tests/error_of.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  const fs::path folder_ =
      fs::temp_directory_path() / ("lockstep-run-folder-" + std::to_string(getpid()));
};

TEST_F(RunFolderTest, MakesTheFolderAndItsParents) {
  const RunFolder run = RunFolder::create(path("a/b"), "digits");
  EXPECT_TRUE(fs::is_directory(run.checkpoints()));
  EXPECT_EQ(run.config_file(), path("a/b") + "/config.toml");
}

TEST_F(RunFolderTest, AnEmptyFolderIsTakenAFullOneRefused) {
  fs::create_directories(path("empty"));
  RunFolder::create(path("empty"), "digits");
  RunFolder::create(path("empty"), "digits");  // a run that failed at once left nothing
  write_text(path("empty/config.toml"), "");
  EXPECT_NE(error_of([&] { RunFolder::create(path("empty"), "digits"); }).find("not empty"),
            std::string::npos);
}

TEST_F(RunFolderTest, RefusesWhatCannotBeMade) {
  write_text(path("file"), "text");
  EXPECT_NE(error_of([&] { RunFolder::create(path("file"), "x"); }).find("is a file"),
            std::string::npos);
  const std::string below = error_of([&] { RunFolder::create(path("file/run"), "x"); });
  EXPECT_NE(below.find("cannot make the run folder"), std::string::npos) << below;
}

TEST_F(RunFolderTest, DefaultNamesNeverMeet) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  const RunFolder first = RunFolder::create("", "my run/1");
  const RunFolder second = RunFolder::create("", "my run/1");
  fs::current_path(before);
  EXPECT_NE(first.path(), second.path());
  EXPECT_TRUE(first.path().starts_with("runs/my_run_1-")) << first.path();
}

TEST_F(RunFolderTest, OpensOnlyRuns) {
  EXPECT_NE(error_of([&] { RunFolder::open(path("none")); }).find("no such run folder"),
            std::string::npos);
  EXPECT_NE(error_of([&] { RunFolder::open(folder_.string()); }).find("config.toml"),
            std::string::npos);
  const Config config = parse_config("[model]\nnetwork = \"mlp\"", "test");
  RunFolder::create(path("run"), "x").write_config(config);
  EXPECT_EQ(to_toml(load_config(RunFolder::open(path("run")).config_file())), to_toml(config));
}

TEST_F(RunFolderTest, RecordComesBack) {
  const RunFolder run = RunFolder::create(path("run"), "x");
  RunRecord record;
  record.name = "x";
  record.seed = 7;
  record.shards = 8;
  record.parameters = 1290;
  record.data_checksum = "abc";
  record.best = {"accuracy", 0.75, 12};
  record.parts.push_back({.version = "0.1",
                          .build = "g++",
                          .mpi = "Open MPI",
                          .processor = "p",
                          .isa = "avx2",
                          .placement = "2 ranks",
                          .threads = {1, 2},
                          .start = utc_now(),
                          .end = "",
                          .first_step = 3,
                          .last_step = 9,
                          .outcome = "finished"});
  record.final_metrics = {{"loss", 0.1}, {"accuracy", 1.0 / 3}, {"rmse", std::nan("")}};
  run.write_record(record);
  const RunRecord read = run.read_record();
  EXPECT_EQ(read.seed, record.seed);
  EXPECT_EQ(read.parameters, 1290);
  ASSERT_TRUE(read.best.has_value());
  EXPECT_EQ(read.best->metric, "accuracy");
  EXPECT_EQ(read.best->value, 0.75);
  EXPECT_EQ(read.best->step, 12);
  ASSERT_EQ(read.parts.size(), 1u);
  EXPECT_EQ(read.parts[0].threads, record.parts[0].threads);
  EXPECT_EQ(read.parts[0].start, record.parts[0].start);
  EXPECT_EQ(read.parts[0].outcome, "finished");
  EXPECT_EQ(read.final_metrics[1], record.final_metrics[1]);
  EXPECT_TRUE(std::isnan(read.final_metrics[2].second));
  write_text(run.record_file(), "{\"name\": 3}");
  EXPECT_NE(error_of([&] { run.read_record(); }).find("run.json"), std::string::npos);
}

nlohmann::ordered_json line_of(std::int64_t step, double loss) {
  nlohmann::ordered_json line;
  line["step"] = step;
  line["loss"] = loss;
  return line;
}

TEST_F(RunFolderTest, NumbersReadBackToTheSameBits) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::vector<double> values{0.1, 1.0, 1e300, 5e-324, 1.0 / 3};
  for (int i = 0; i < 200; ++i)
    values.push_back(
        std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 200) - 164));
  MetricsLog log(path("metrics.jsonl"));
  for (std::size_t i = 0; i < values.size(); ++i)
    log.append(line_of(static_cast<std::int64_t>(i), values[i]));
  std::istringstream lines(read_text(path("metrics.jsonl")));
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_EQ(nlohmann::json::parse(line)["loss"].get<double>(), values.at(count)) << line;
  EXPECT_EQ(count, values.size());
}

TEST_F(RunFolderTest, CutBackLeavesWhatARunToThatStepWouldHaveWritten) {
  const auto write = [this](const std::string& name, std::int64_t steps) {
    MetricsLog log(path(name));
    for (std::int64_t step = 1; step <= steps; ++step)
      log.append(line_of(step, 1.0 / double(step)));
  };
  write("short", 4);
  write("long", 9);
  std::ofstream(path("long"), std::ios::app) << "{\"step\": 10, \"lo";
  MetricsLog::cut_back(path("long"), 4);
  EXPECT_EQ(read_text(path("long")), read_text(path("short")));
  MetricsLog(path("long")).append(line_of(5, 0.2));
  write("fifth", 5);
  EXPECT_EQ(read_text(path("long")), read_text(path("fifth")));
  MetricsLog::cut_back(path("long"), 0);
  EXPECT_EQ(read_text(path("long")), "");
  MetricsLog::cut_back(path("absent"), 3);
  EXPECT_FALSE(fs::exists(path("absent")));
}

TEST_F(RunFolderTest, CutBackNamesADamagedLine) {
  write_text(path("metrics.jsonl"), "{\"step\": 1}\nnonsense\n{\"step\": 2}\n");
  const std::string error = error_of([&] { MetricsLog::cut_back(path("metrics.jsonl"), 5); });
  EXPECT_NE(error.find("metrics.jsonl:2:"), std::string::npos) << error;
}

}  // namespace
}  // namespace lockstep
