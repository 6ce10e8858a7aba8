// Error and LOCKSTEP_CHECK: the message names what, where and the values compared; and operations
// refuse tensors that do not fit, and say so.
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

TEST(ErrorTest, FormatsItsMessage) {
  EXPECT_STREQ(Error("row {} of '{}'", 7, "train/x").what(), "row 7 of 'train/x'");
}

TEST(ErrorTest, TakesAPlainMessageAsItIs) {
  EXPECT_STREQ(Error(std::string("100 {} %")).what(), "100 {} %");
}

TEST(CheckTest, PassesInSilence) {
  EXPECT_NO_THROW(LOCKSTEP_CHECK(1 + 1 == 2, "never said"));
}

TEST(CheckTest, NamesFileConditionAndValues) {
  const int rows = 3;
  try {
    LOCKSTEP_CHECK(rows == 4, "{} rows", rows);
    FAIL() << "the check passed";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("checks_test.cc:"), std::string::npos) << message;
    EXPECT_NE(message.find("'rows == 4'"), std::string::npos) << message;
    EXPECT_NE(message.find("3 rows"), std::string::npos) << message;
  }
}

TEST(CheckTest, EvaluatesItsConditionOnce) {
  int calls = 0;
  LOCKSTEP_CHECK(++calls == 1, "{} calls", calls);
  EXPECT_EQ(calls, 1);
}

TEST(IsaTest, NamesAreParsedBack) {
  EXPECT_EQ(parse_isa("auto"), best_isa());
  EXPECT_EQ(parse_isa("generic"), Isa::kGeneric);
  EXPECT_EQ(parse_isa(std::string(name_of(best_isa()))), best_isa());
}

TEST(IsaTest, AnUnknownNameIsAnErrorThatListsTheKnown) {
  try {
    parse_isa("sse9");
    FAIL() << "accepted";
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const char* known : {"sse9", "auto", "avx512", "avx2", "neon", "generic"})
      EXPECT_NE(message.find(known), std::string::npos) << message;
  }
}

class OperationChecksTest : public testing::Test {
 protected:
  template <typename Work>
  void expect_refused(Work work) {
    EXPECT_THROW(
        {
          stream_->submit(work);
          stream_->synchronize();
        },
        Error);
  }
  Tensor floats(const Shape& shape) { return backend_->zeros(shape); }

  std::unique_ptr<Backend> backend_ = make_cpu_backend(best_isa());
  std::unique_ptr<Stream> stream_ = backend_->make_stream(0);
};

TEST_F(OperationChecksTest, DifferentSizesAreRefused) {
  Tensor y = floats({3}), logits = floats({2, 3}), sums = backend_->zeros({2}, DType::kFloat64);
  Tensor none, mean = floats({3}), value = floats({4}), w = floats({12}), image = floats({2, 4});
  const Tensor labels = backend_->zeros({5}, DType::kInt64);
  expect_refused([&] { backend_->add(*stream_, floats({3}), floats({4}), y); });
  expect_refused([&] { backend_->running_average(*stream_, 0.1f, mean, value); });
  expect_refused([&] {
    backend_->softmax_cross_entropy(*stream_, {}, logits, labels, none, none, none, sums);
  });
  expect_refused([&] {
    backend_->linear_forward(*stream_, {.in = 3, .out = 4}, floats({2, 5}), w, none, none, image);
  });
}

TEST_F(OperationChecksTest, AnotherTypeIsRefused) {
  Tensor y = floats({3}), bytes = backend_->zeros({3}, DType::kUInt8);
  expect_refused([&] { backend_->add(*stream_, floats({3}), bytes, y); });
  expect_refused([&] { backend_->fill(*stream_, 1.0f, bytes); });
}

TEST_F(OperationChecksTest, ALabelOutsideTheClassesIsRefused) {
  Tensor sums = backend_->zeros({2}, DType::kFloat64), none;
  Tensor labels = backend_->zeros({2}, DType::kInt64);
  labels.data<std::int64_t>()[1] = 3;
  expect_refused([&] {
    backend_->softmax_cross_entropy(*stream_, {}, floats({2, 3}), labels, none, none, none, sums);
  });
}

TEST_F(OperationChecksTest, OneValueAChannelNamesTheKeysToChange) {
  Tensor y = floats({1, 3}), a = floats({3}), b = floats({3}), c = floats({3}), d = floats({3});
  try {
    stream_->submit([&] {
      backend_->batch_norm_forward(*stream_, {}, floats({1, 3}), floats({3}), floats({3}), y, a, b,
                                   c, d);
    });
    stream_->synchronize();
    FAIL() << "accepted";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("batch"), std::string::npos) << message;
    EXPECT_NE(message.find("shards"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace lockstep
