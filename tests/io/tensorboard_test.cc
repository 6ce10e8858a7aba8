// Checksums and histograms of event files. Whole files are read by another program's parser in
// tests/programs/tensorboard.py.
#include "io/formats/tensorboard.h"

#include <gtest/gtest.h>

#include <numeric>

namespace lockstep {
namespace {

TEST(Crc32c, KnownValues) {  // RFC 3720, appendix B.4
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(Histogram, CountsEveryValueOnce) {
  const std::vector<float> values = {-1, -1, 0, 0.5f, 2};
  const Histogram histogram = Histogram::of(values);
  EXPECT_EQ(histogram.count, 5);
  EXPECT_EQ(histogram.sum, 0.5);
  EXPECT_EQ(histogram.sum_squares, 6.25);
  EXPECT_EQ(histogram.counts.front(), 2);
  EXPECT_EQ(histogram.counts.back(), 1);
  EXPECT_EQ(histogram.limit(Histogram::kBuckets - 1), 2);
  EXPECT_EQ(std::accumulate(histogram.counts.begin(), histogram.counts.end(), 0.0), 5);
}

TEST(Histogram, OfEqualValues) {
  const Histogram histogram = Histogram::of(std::vector<float>{3, 3, 3});
  EXPECT_EQ(histogram.min, 3);
  EXPECT_EQ(histogram.max, 3);
  EXPECT_EQ(std::accumulate(histogram.counts.begin(), histogram.counts.end(), 0.0), 3);
}

}  // namespace
}  // namespace lockstep
