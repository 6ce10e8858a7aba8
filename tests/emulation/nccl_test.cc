// The link between devices over NCCL's twin: what arrives where, that work waits until NCCL has
// taken it, errors that stick, ranks that do not come or leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "kernels/core/small_floats.h"
#include "tests/emulation/emulated_ranks.h"
#include "tests/error_of.h"

namespace lockstep {
namespace {

using emulation::EmulatedRank;
using emulation::on_emulated_ranks;
using emulation::Streams;
using ::testing::HasSubstr;

constexpr std::int64_t kCounts[] = {1, 77, 4096, 50001};  // the last passes the twin's pipes twice

float value_of(int rank, std::int64_t i) {
  return static_cast<float>(rank * 1000003 + i % 99991);
}

Tensor filled(const EmulatedRank& r, std::int64_t count,
              const std::function<float(std::int64_t)>& f) {
  Tensor tensor = r.gpu.empty_pinned({count}, DType::kFloat32);
  for (std::int64_t i = 0; i < count; ++i) tensor.data<float>()[i] = f(i);
  return tensor;
}

std::size_t bytes_of(std::int64_t floats) {
  return static_cast<std::size_t>(floats) * sizeof(float);
}

class NcclLinks : public ::testing::TestWithParam<Streams> {
 protected:
  void SetUp() override { emulation::set_streams(GetParam()); }
  void TearDown() override { emulation::set_streams(Streams::kAtOnce); }
};
INSTANTIATE_TEST_SUITE_P(Modes, NcclLinks,
                         ::testing::Values(Streams::kAtOnce, Streams::kInterleaved),
                         [](const auto& info) {
                           return info.param == Streams::kAtOnce ? "AtOnce" : "Interleaved";
                         });

TEST_P(NcclLinks, PartsGoToTheirRanks) {
  for (const int ranks : {1, 2, 3, 4})
    for (const std::int64_t count : kCounts)
      on_emulated_ranks(ranks, 30, [&](const EmulatedRank& r) {
        const auto stream = r.gpu.make_urgent_stream();
        const Tensor parts = filled(r, ranks * count, [&](auto i) { return value_of(r.rank, i); });
        Tensor received = r.gpu.empty_pinned({ranks * count}, DType::kFloat32);
        r.link->all_to_all(*stream, parts.raw(), received.raw(), bytes_of(count));
        stream->synchronize();
        for (std::int64_t i = 0; i < ranks * count; ++i)
          ASSERT_EQ(received.data<float>()[i],
                    value_of(static_cast<int>(i / count), r.rank * count + i % count));
      });
}

TEST_P(NcclLinks, GathersInPlaceAndNot) {
  for (const int ranks : {1, 2, 3, 4})
    for (const std::int64_t count : kCounts)
      for (const bool in_place : {false, true})
        on_emulated_ranks(ranks, 30, [&](const EmulatedRank& r) {
          const auto stream = r.gpu.make_urgent_stream();
          const Tensor part = filled(r, count, [&](auto i) { return value_of(r.rank, i); });
          Tensor whole = r.gpu.empty_pinned({ranks * count}, DType::kFloat32);
          Tensor place = whole.slice(r.rank * count, (r.rank + 1) * count);
          if (in_place) r.gpu.copy(part, place);
          r.link->all_gather(*stream, in_place ? place.raw() : part.raw(), whole.raw(),
                             bytes_of(count));
          stream->synchronize();
          for (std::int64_t i = 0; i < ranks * count; ++i)
            ASSERT_EQ(whole.data<float>()[i], value_of(static_cast<int>(i / count), i % count));
        });
}

TEST_P(NcclLinks, Sums) {
  for (const int ranks : {1, 2, 3, 4})
    on_emulated_ranks(ranks, 30, [&](const EmulatedRank& r) {
      const auto stream = r.gpu.make_urgent_stream();
      const Tensor values = filled(r, 50001, [&](auto i) { return float(i % 17) + float(r.rank); });
      Tensor halves = r.gpu.empty_pinned({50001}, DType::kBFloat16);
      auto* const bits = reinterpret_cast<std::uint16_t*>(halves.raw());
      for (std::int64_t i = 0; i < 50001; ++i) bits[i] = to_bfloat16(values.data<float>()[i]);
      r.link->all_reduce(*stream, values.raw(), 50001, DType::kFloat32);
      r.link->all_reduce(*stream, halves.raw(), 50001, DType::kBFloat16);
      stream->synchronize();
      for (std::int64_t i = 0; i < 50001; ++i) {
        const auto want = static_cast<float>(ranks * (i % 17) + ranks * (ranks - 1) / 2);
        ASSERT_EQ(values.data<float>()[i], want);
        ASSERT_EQ(from_bfloat16(bits[i]), want);
      }
    });
}

TEST_P(NcclLinks, MessagesOfAnyLengthKeepTheirOrder) {
  std::mt19937 random{std::random_device{}()};
  const auto longest = static_cast<std::int64_t>(1 + random() % 30000);
  SCOPED_TRACE(longest);
  const auto length = [&](int from, int to, int n) {
    return 1 + (from * 7919 + to * 104729 + n) % longest;
  };
  for (const int ranks : {2, 3, 4})
    on_emulated_ranks(ranks, 30, [&](const EmulatedRank& r) {
      const auto stream = r.gpu.make_urgent_stream();
      std::vector<Tensor> keep;
      std::vector<DeviceMessage> sends, receives;
      for (int peer = 0; peer < ranks; ++peer)
        for (int n = 0; n < 3 && peer != r.rank; ++n) {
          keep.push_back(
              filled(r, length(r.rank, peer, n), [&](auto i) { return value_of(r.rank, i + n); }));
          sends.push_back({peer, keep.back().raw(), keep.back().bytes()});
          keep.push_back(r.gpu.empty_pinned({length(peer, r.rank, n)}, DType::kFloat32));
          receives.push_back({peer, keep.back().raw(), keep.back().bytes()});
        }
      r.link->exchange(*stream, sends, receives);
      stream->synchronize();
      for (std::size_t m = 0; m < receives.size(); ++m)
        for (std::size_t i = 0; i < receives[m].bytes / sizeof(float); ++i)
          ASSERT_EQ(static_cast<float*>(receives[m].memory)[i],
                    value_of(receives[m].peer, static_cast<std::int64_t>(i + m % 3)));
    });
}

// The twin itself: who records an event before NCCL has taken the work, or queues a kernel, is
// ahead of it. This is what polling is for.
TEST(NcclTwin, WorkReachesTheStreamOnlyWhenItWasAskedFor) {
  const auto gpu = emulation::make_emulated_gpu();
  const auto stream = gpu->make_urgent_stream();
  const auto queue = static_cast<nccl::Queue>(stream->native());
  nccl::Id id;
  nccl::make_id(id);
  nccl::Comm comm = nullptr;
  ASSERT_EQ(nccl::init(comm, 0, 1, id).state, nccl::State::kInProgress);
  while (nccl::state(comm).state == nccl::State::kInProgress) continue;
  float part = 7, whole = 0;
  ASSERT_EQ(nccl::all_gather(&part, &whole, sizeof part, comm, queue).state,
            nccl::State::kInProgress);
  stream->synchronize();
  EXPECT_EQ(whole, 0);
  while (nccl::state(comm).state == nccl::State::kInProgress) continue;
  stream->synchronize();
  EXPECT_EQ(whole, 7);
  nccl::destroy(comm);
}

TEST(NcclLibrary, Loads) {
  const std::string folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const LoadedNcclLibrary loaded = load_nccl_library(
      {"/nowhere/liblockstep_nccl.so", folder + "/plugin/liblockstep_nccl.so"}, "");
  ASSERT_NE(loaded.library, nullptr) << loaded.why_not;
  EXPECT_EQ(loaded.library->version(), "2.28.9");
  EXPECT_THAT(error_of([&] { loaded.library->make_link({.id = "short"}); }),
              HasSubstr("an id of 5 bytes"));
}

TEST(NcclLibrary, SaysWhyNot) {
  EXPECT_EQ(load_nccl_library({"/nowhere/libx.so"}, "no NCCL").why_not,
            "this build has no NCCL plug-in (no NCCL)");
  EXPECT_EQ(load_nccl_library({"/nowhere/libx.so"}, "").why_not,
            "the NCCL plug-in was not found at /nowhere/libx.so; install it again");
}

TEST(NcclErrors, StickAndEndTheOthersToo) {
  ::setenv("EMULATED_NCCL_FAIL", "1:2:ncclInternalError: a wire broke", 1);
  on_emulated_ranks(2, 30, [&](const EmulatedRank& r) {
    const auto stream = r.gpu.make_urgent_stream();
    float part = 1, whole[2] = {};
    const auto gather = [&] { r.link->all_gather(*stream, &part, whole, sizeof part); };
    gather();
    EXPECT_EQ(r.link->error(), "");
    if (r.rank == 1) {
      EXPECT_THAT(error_of(gather), HasSubstr("an all-gather: ncclInternalError: a wire broke"));
      EXPECT_THAT(r.link->error(), HasSubstr("a wire broke"));
      EXPECT_THAT(error_of(gather), HasSubstr("a wire broke"));
      r.link->abort(5);
      EXPECT_EQ(r.link->error(), "");
    } else {
      gather();
      stream->synchronize();  // the work ends, without a result
      EXPECT_THAT(r.link->error(), HasSubstr("ncclRemoteError: rank 1 is gone"));
      r.link->abort(5);
    }
  });
  ::unsetenv("EMULATED_NCCL_FAIL");
}

TEST(NcclErrors, RanksThatDoNotComeAreNotAwaitedForEver) {
  EXPECT_EQ(error_of([] {
              NcclLink({0, 2, emulation::make_nccl_id(), 0.2});
            }),
            "NCCL: the meeting of the ranks has not come about for 0.2 s");
}

TEST(NcclErrors, AStreamOfTheCpuIsRefused) {
  on_emulated_ranks(1, 30, [&](const EmulatedRank& r) {
    struct Elsewhere final : Stream {
      explicit Elsewhere(Device& d) : device_(d) {}
      Device& device() override { return device_; }
      void submit(std::function<void()>) override {}
      std::shared_ptr<Event> record() override { return nullptr; }
      void wait(std::shared_ptr<Event>) override {}
      void synchronize() override {}
      std::byte* workspace(std::size_t) override { return nullptr; }
      Device& device_;
    } stream(r.gpu);
    float x = 0;
    EXPECT_THAT(error_of([&] { r.link->all_reduce(stream, &x, 1, DType::kFloat32); }),
                HasSubstr("NCCL was given a stream of emulated GPU"));
  });
}

}  // namespace
}  // namespace lockstep
