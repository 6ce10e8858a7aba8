// Memory of gradients between layers: what lives together never shares a slot, and little is taken.
#include "runtime/step/gradient_slots.h"

#include <gtest/gtest.h>

#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

class GradientSlotsTest : public testing::Test {
 protected:
  const float* take(std::int64_t elements) {
    return slots_.take(*backend_, {elements}).data<float>();
  }
  std::unique_ptr<Backend> backend_ = make_cpu_backend(best_isa());
  GradientSlots slots_;
};

TEST_F(GradientSlotsTest, AChainUsesTwoInTurn) {
  const float *first = take(100), *second = take(100), *third = take(80), *fourth = take(100);
  EXPECT_NE(first, second);
  EXPECT_EQ(first, third);
  EXPECT_EQ(second, fourth);
  EXPECT_EQ(slots_.bytes(), 2 * 100 * sizeof(float));
}

TEST_F(GradientSlotsTest, TheSmallestThatIsLargeEnough) {
  const float *large = take(1000), *small = take(10);
  EXPECT_EQ(take(10), large);  // the small one is being read
  EXPECT_EQ(take(5), small);
  const float* grown = take(2000);  // larger than all
  EXPECT_NE(grown, large);
  EXPECT_EQ(take(11), large);
  EXPECT_EQ(slots_.bytes(), 3010 * sizeof(float));
}

// As in a residual block of two branches: main's dx waits while the shortcut runs, a copy of dy
// lasts through both.
TEST_F(GradientSlotsTest, BranchesKeepWhatWaits) {
  const float* before = take(50);
  const GradientSlots::Slots busy = slots_.busy();
  const std::size_t mark = slots_.mark();
  const float* main_dx = take(50);
  const float* inside = take(50);
  EXPECT_NE(main_dx, before);
  const float* shortcut_dx = nullptr;
  {
    const GradientSlots::Hold hold(slots_, slots_.first_since(mark));
    slots_.set_busy(busy);
    shortcut_dx = take(50);
  }
  EXPECT_NE(shortcut_dx, main_dx);
  EXPECT_NE(shortcut_dx, before);
  const float* copy = slots_.take_apart(*backend_, {50}, mark).data<float>();
  for (const float* other : {main_dx, inside, shortcut_dx}) EXPECT_NE(copy, other);
  const float* after = take(50);
  EXPECT_NE(after, copy);         // dy is copied while it is read
  EXPECT_NE(after, shortcut_dx);  // the last of the chain before it
}

}  // namespace
}  // namespace lockstep
