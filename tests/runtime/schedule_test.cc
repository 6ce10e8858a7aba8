// Schedules against PyTorch's own (tests/golden/schedules.py) and against hand-computed warm-ups.
#include "runtime/step/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <numbers>
#include <sstream>

namespace lockstep {
namespace {

constexpr double kBase = 0.1;
constexpr std::int64_t kSteps = 40, kStepsPerEpoch = 10;

double rate(const ScheduleConfig& schedule, std::int64_t step) {
  return learning_rate(schedule, kBase, step, kStepsPerEpoch, kSteps);
}

std::filesystem::path golden_file() {
  return std::filesystem::path(__FILE__).parent_path() / "../golden/schedules.txt";
}

std::map<std::string, std::vector<double>> golden_rates() {
  std::ifstream file(golden_file());
  std::map<std::string, std::vector<double>> rates;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    for (double value = 0; words >> value;) rates[name].push_back(value);
  }
  return rates;
}

std::map<std::string, ScheduleConfig> golden_schedules() {
  std::map<std::string, ScheduleConfig> cases;
  cases["step_epochs"] = {.kind = ScheduleKind::kStep, .every_epochs = 2, .gamma = 0.3};
  cases["step_steps"] = {.kind = ScheduleKind::kStep, .every_steps = 7, .gamma = 0.5};
  cases["multi_step_epochs"] = {
      .kind = ScheduleKind::kMultiStep, .milestones_epochs = {1, 3}, .gamma = 0.2};
  cases["multi_step_steps"] = {
      .kind = ScheduleKind::kMultiStep, .milestones_steps = {5, 5, 33}, .gamma = 0.1};
  cases["exponential"] = {.kind = ScheduleKind::kExponential, .gamma = 0.9};
  cases["linear"] = {.kind = ScheduleKind::kLinear, .final_lr = 0.02};
  cases["cosine"] = {.kind = ScheduleKind::kCosine, .final_lr = 0.01};
  cases["cosine_warmup"] = {.kind = ScheduleKind::kCosine, .warmup_steps = 8, .final_lr = 0.01};
  cases["one_cycle"] = {.kind = ScheduleKind::kOneCycle};
  cases["one_cycle_options"] = {
      .kind = ScheduleKind::kOneCycle, .pct_start = 0.4, .div_factor = 10, .final_div_factor = 100};
  cases["one_cycle_no_rise"] = {.kind = ScheduleKind::kOneCycle, .pct_start = 0};
  return cases;
}

TEST(Schedule, MatchesPyTorch) {
  const auto golden = golden_rates();
  const auto schedules = golden_schedules();
  ASSERT_EQ(golden.size(), schedules.size()) << "read from " << golden_file();
  for (const auto& [name, schedule] : schedules) {
    ASSERT_EQ(golden.at(name).size(), static_cast<std::size_t>(kSteps)) << name;
    for (std::int64_t step = 0; step < kSteps; ++step) {
      const double expected = golden.at(name)[static_cast<std::size_t>(step)];
      // PyTorch multiplies from step to step, so its own rounding adds up.
      EXPECT_NEAR(rate(schedule, step), expected, 1e-13 * kBase) << name << ", step " << step;
    }
  }
}

TEST(Schedule, WarmUpRisesInEqualSteps) {
  const ScheduleConfig schedule{.warmup_epochs = 2};
  EXPECT_DOUBLE_EQ(rate(schedule, 0), 0.1 / 20);
  EXPECT_DOUBLE_EQ(rate(schedule, 9), 0.1 * 10 / 20);
  EXPECT_DOUBLE_EQ(rate(schedule, 19), 0.1);
  EXPECT_DOUBLE_EQ(rate(schedule, 20), 0.1);
}

TEST(Schedule, EveryKindWarmsUp) {
  for (auto [name, schedule] : golden_schedules()) {
    schedule.warmup_epochs = 0;
    schedule.warmup_steps = 4;
    EXPECT_DOUBLE_EQ(rate(schedule, 1), rate(schedule, 0) * 2) << name;
    EXPECT_DOUBLE_EQ(rate(schedule, 3), rate(schedule, 0) * 4) << name;
    EXPECT_GT(rate(schedule, 3), 0) << name;
  }
}

TEST(Schedule, StaysAtItsEndWhenTheRunGoesOn) {
  const ScheduleConfig cosine{.kind = ScheduleKind::kCosine, .final_lr = 0.01};
  EXPECT_DOUBLE_EQ(rate(cosine, kSteps + 5), 0.01);
  const ScheduleConfig one_cycle{.kind = ScheduleKind::kOneCycle};
  EXPECT_DOUBLE_EQ(rate(one_cycle, kSteps + 5), rate(one_cycle, kSteps - 1));
}

TEST(Schedule, OneStepInAll) {
  for (const auto& [name, schedule] : golden_schedules())
    EXPECT_TRUE(std::isfinite(learning_rate(schedule, kBase, 0, 1, 1))) << name;
}

TEST(Schedule, CosineOfOurOwn) {
  for (int i = 0; i <= 1000; ++i) {
    const double x = i / 1000.0;
    const long double expected = std::cos(std::numbers::pi_v<long double> * x);
    EXPECT_NEAR(cos_pi(x), static_cast<double>(expected), 2.3e-16) << x;
  }
  EXPECT_EQ(cos_pi(0), 1);
  EXPECT_EQ(cos_pi(0.5), 0);
  EXPECT_EQ(cos_pi(1), -1);
}

}  // namespace
}  // namespace lockstep
