// On what ranks compute, with GPUs of the test's own making: all of them on GPUs, or all on the CPU
// with one reason.
#include "runtime/run/device_choice.h"

#include <gmock/gmock.h>

#include "kernels/cpu/cpu_backend.h"
#include "runtime/communication/agreement.h"
#include "tests/runtime/rank_threads.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Its backend is the CPU's; what counts is which device was asked for.
class FakeGpus final : public GpuLibrary {
 public:
  explicit FakeGpus(std::vector<std::string> uuids) {
    if (uuids.empty()) visible_.why_none = "the driver finds no GPU";
    for (std::size_t i = 0; i < uuids.size(); ++i) {
      GpuInfo info;
      info.device = static_cast<int>(i);
      info.uuid = uuids[i];
      visible_.gpus.push_back(info);
    }
  }
  std::vector<LibraryVersion> versions() const override { return {}; }
  VisibleGpus visible_gpus() const override { return visible_; }
  std::unique_ptr<Backend> make_backend(const GpuOptions& options) override {
    if (broken) throw Error("GPU {} is in use", options.device);
    asked = options;
    return make_cpu_backend(Isa::kGeneric);
  }
  std::unique_ptr<GpuClock> make_clock() const override { return nullptr; }
  std::vector<LibraryPlan> plans(Backend&) const override { return {}; }
  void take_plans(Backend&, const std::vector<LibraryPlan>&) const override {}
  std::unique_ptr<Backend> rehearsal(Backend&) const override { return nullptr; }
  MemoryReport memory(Backend&) const override { return {}; }
  void reserve(Backend&, const MemoryPlan&) const override {}

  bool broken = false;
  GpuOptions asked{.device = -1};

 private:
  VisibleGpus visible_;
};

struct Outcome {
  std::vector<std::string> texts, errors;  // by rank
  std::vector<int> devices;                // -1: the CPU
};

Outcome choose(const RunConfig& run, std::vector<FakeGpus> gpus) {
  const std::size_t ranks = gpus.size();
  Outcome outcome{std::vector<std::string>(ranks), std::vector<std::string>(ranks),
                  std::vector<int>(ranks)};
  testing::on_ranks(static_cast<int>(ranks), [&](Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    try {
      const DeviceChoice choice = choose_device(run, communicator, [&] {
        return LoadedGpuLibrary{&gpus[rank], "", ""};
      });
      EXPECT_NE(choice.backend, nullptr);
      EXPECT_EQ(choice.gpu, choice.text.starts_with("GPU"));
      outcome.texts[rank] = choice.text;
      outcome.devices[rank] = choice.gpu ? gpus[rank].asked.device : -1;
    } catch (const AgreedError& error) {
      outcome.errors[rank] = error.what();
    }
  });
  return outcome;
}

RunConfig on(DeviceKind device) {
  RunConfig run;
  run.device = device;
  return run;
}

TEST(DeviceChoice, EveryRankTakesAGpuOfItsOwn) {
  const Outcome outcome =
      choose(on(DeviceKind::kAuto), std::vector<FakeGpus>(3, FakeGpus({"A", "B", "C"})));
  EXPECT_THAT(outcome.devices, ElementsAre(0, 1, 2));
  EXPECT_THAT(outcome.texts, Each(AllOf(HasSubstr("GPU ("), Not(HasSubstr("shared")))));
}

TEST(DeviceChoice, CpuAsksForNoGpu) {
  const Outcome outcome = choose(on(DeviceKind::kCpu), {FakeGpus({"A"})});
  EXPECT_THAT(outcome.devices, ElementsAre(-1));
  EXPECT_THAT(outcome.texts, Each(Not(HasSubstr("GPU"))));
}

TEST(DeviceChoice, AutoStepsDownWithTheReason) {
  const Outcome outcome = choose(on(DeviceKind::kAuto), std::vector<FakeGpus>(2, FakeGpus({})));
  EXPECT_THAT(outcome.devices, ElementsAre(-1, -1));
  EXPECT_THAT(outcome.texts, Each(::testing::EndsWith(", no GPU: the driver finds no GPU")));
}

TEST(DeviceChoice, OneRankWithoutAGpuTakesAllToTheCpu) {
  const Outcome outcome = choose(on(DeviceKind::kAuto), {FakeGpus({"A"}), FakeGpus({})});
  EXPECT_THAT(outcome.devices, ElementsAre(-1, -1));
  EXPECT_THAT(outcome.texts,
              Each(AllOf(HasSubstr("no GPU: rank 1 on "), HasSubstr(": the driver finds no GPU"))));
}

TEST(DeviceChoice, CudaNeverStepsDown) {
  const Outcome outcome = choose(on(DeviceKind::kCuda), {FakeGpus({"A"}), FakeGpus({})});
  EXPECT_THAT(outcome.errors,
              Each(AllOf(HasSubstr("run.device = \"cuda\": rank 1 on "),
                         HasSubstr("the driver finds no GPU"), HasSubstr("\"auto\""))));
}

TEST(DeviceChoice, TwoRanksShareAGpuOnlyWhereTheyMay) {
  const std::vector<FakeGpus> one(2, FakeGpus({"A"}));
  EXPECT_THAT(choose(on(DeviceKind::kCuda), one).errors, Each(HasSubstr("run.share_gpu = true")));
  const Outcome down = choose(on(DeviceKind::kAuto), one);
  EXPECT_THAT(down.devices, ElementsAre(-1, -1));
  EXPECT_THAT(down.texts, Each(HasSubstr("2 ranks see 1 GPU;")));
  RunConfig run = on(DeviceKind::kCuda);
  run.share_gpu = true;
  const Outcome shared = choose(run, one);
  EXPECT_THAT(shared.errors, Each(IsEmpty()));
  EXPECT_THAT(shared.devices, ElementsAre(0, 0));
  EXPECT_THAT(shared.texts, Each(HasSubstr("shared by ranks")));
}

TEST(DeviceChoice, AGpuThatCannotBeOpenedIsAReasonToo) {
  std::vector<FakeGpus> gpus(2, FakeGpus({"A", "B"}));
  gpus[1].broken = true;
  const Outcome outcome = choose(on(DeviceKind::kAuto), gpus);
  EXPECT_THAT(outcome.devices, ElementsAre(-1, -1));
  EXPECT_THAT(outcome.texts, Each(HasSubstr("no GPU: rank 1: GPU 1 is in use")));
  EXPECT_THAT(choose(on(DeviceKind::kCuda), gpus).errors, Each(HasSubstr("GPU 1 is in use")));
}

TEST(DeviceChoice, APluginThatDoesNotLoadIsQuoted) {
  const auto load = [] { return LoadedGpuLibrary{nullptr, "", "libcudnn.so.9: cannot open"}; };
  const auto communicator = make_self_communicator();
  const DeviceChoice choice = choose_device(on(DeviceKind::kAuto), *communicator, load);
  EXPECT_THAT(choice.text, ::testing::EndsWith(", no GPU: libcudnn.so.9: cannot open"));
}

TEST(DeviceChoice, PrecisionReachesTheGpuAndTf32NeedsOne) {
  RunConfig run = on(DeviceKind::kAuto);
  run.precision = Precision::kTf32;
  FakeGpus gpus({"A"});
  const auto communicator = make_self_communicator();
  choose_device(run, *communicator, [&] { return LoadedGpuLibrary{&gpus, "", ""}; });
  EXPECT_EQ(gpus.asked.precision, GpuPrecision::kTf32);
  EXPECT_THAT(choose(run, {FakeGpus({})}).errors,
              Each(AllOf(HasSubstr("format of GPUs"), HasSubstr("finds no GPU"))));
}

}  // namespace
}  // namespace lockstep
