// DType, Shape, Tensor: sizes, views, slices, aliasing and copies.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/core/tensor.h"
#include "kernels/cpu/cpu_backend.h"

namespace lockstep {
namespace {

TEST(DTypeTest, HasSizeAndName) {
  EXPECT_EQ(size_of(DType::kFloat32), 4u);
  EXPECT_EQ(size_of(DType::kBFloat16), 2u);
  EXPECT_EQ(size_of(DType::kUInt8), 1u);
  EXPECT_EQ(size_of(DType::kInt64), 8u);
  EXPECT_EQ(size_of(DType::kFloat64), 8u);
  EXPECT_EQ(name_of(DType::kBFloat16), "bfloat16");
  EXPECT_EQ(name_of(DType::kFloat64), "float64");
  EXPECT_EQ(dtype_of<std::int64_t>(), DType::kInt64);
}

TEST(ShapeTest, CountsElements) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape().rank(), 0);
  EXPECT_EQ((Shape{2, 3, 5}).elements(), 30);
  EXPECT_EQ((Shape{0, 3}).elements(), 0);
  EXPECT_EQ((Shape{2, 3, 5}).back(), 5);
  EXPECT_EQ((Shape{100, 28, 28, 1}).to_string(), "(100, 28, 28, 1)");
}

TEST(ShapeTest, GainsAndLosesRows) {
  EXPECT_EQ((Shape{28, 28}).with_rows(100), (Shape{100, 28, 28}));
  EXPECT_EQ((Shape{100, 28, 28}).without_rows(), (Shape{28, 28}));
  EXPECT_EQ((Shape{7}).without_rows(), Shape());
  EXPECT_THROW(Shape().without_rows(), Error);
}

TEST(ShapeTest, EqualityMeansRankAndSizes) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE((Shape{2, 0}), (Shape{2}));
}

TEST(ShapeTest, HasAMostAxes) {
  EXPECT_EQ((Shape{1, 2, 3, 4, 5, 6}).rank(), Shape::kMaxRank);
  EXPECT_THROW((Shape{1, 2, 3, 4, 5, 6, 7}), Error);
  EXPECT_THROW((Shape{1, 2, 3, 4, 5, 6}).with_rows(2), Error);
}

class TensorTest : public testing::Test {
 protected:
  Tensor counting(const Shape& shape) {
    Tensor tensor = device_->empty(shape);
    float next = 0;
    for (float& value : tensor.span<float>()) value = next++;
    return tensor;
  }
  std::unique_ptr<Backend> device_ = make_cpu_backend(best_isa());
};

TEST_F(TensorTest, IsUndefinedUntilGivenStorage) {
  const Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_THROW(none.clone(), Error);
  EXPECT_THROW(none.to_host(), Error);
  EXPECT_TRUE(device_->empty({3}).defined());
}

TEST_F(TensorTest, KnowsItsSizes) {
  const Tensor tensor = device_->zeros({4, 3}, DType::kInt64);
  EXPECT_EQ(tensor.elements(), 12);
  EXPECT_EQ(tensor.bytes(), 96u);
  EXPECT_EQ(tensor.rows(), 4);
  EXPECT_EQ(device_->empty(Shape()).rows(), 1);
  EXPECT_TRUE(std::ranges::all_of(tensor.span<std::int64_t>(), [](auto v) { return v == 0; }));
}

TEST_F(TensorTest, RefusesAnotherTypesPointer) {
  EXPECT_THROW(device_->zeros({3}).data<std::int64_t>(), Error);
}

TEST_F(TensorTest, AnEmptyTensorIsDefined) {
  const Tensor tensor = device_->zeros({0, 5});
  EXPECT_TRUE(tensor.defined());
  EXPECT_EQ(tensor.clone().shape(), (Shape{0, 5}));
}

TEST_F(TensorTest, HandlesAliasAndClonesDoNot) {
  const Tensor tensor = counting({3});
  const Tensor alias = tensor, copy = tensor.clone();
  tensor.data<float>()[1] = 50;
  EXPECT_EQ(alias.data<float>()[1], 50);
  EXPECT_EQ(copy.data<float>()[1], 1);
}

TEST_F(TensorTest, ViewsShareTheElements) {
  const Tensor tensor = counting({2, 6});
  const Tensor view = tensor.view({3, 4});
  EXPECT_EQ(view.data<float>(), tensor.data<float>());
  EXPECT_EQ(view.shape(), (Shape{3, 4}));
  EXPECT_THROW(tensor.view({5}), Error);
}

TEST_F(TensorTest, SlicesAreRows) {
  const Tensor tensor = counting({5, 3});
  const Tensor slice = tensor.slice(2, 4);
  EXPECT_EQ(slice.shape(), (Shape{2, 3}));
  EXPECT_EQ(slice.data<float>()[0], 6);
  EXPECT_EQ(tensor.head(2).shape(), (Shape{2, 3}));
  EXPECT_EQ(tensor.slice(5, 5).elements(), 0);
  EXPECT_THROW(tensor.slice(3, 6), Error);
  EXPECT_THROW(tensor.slice(3, 2), Error);
  EXPECT_THROW(device_->empty(Shape()).slice(0, 1), Error);
}

TEST_F(TensorTest, ASliceKeepsTheStorageAlive) {
  Tensor slice;
  {
    const Tensor tensor = counting({1000, 100});
    slice = tensor.slice(999, 1000);
  }
  EXPECT_EQ(slice.data<float>()[99], 99'999);
}

TEST_F(TensorTest, BorrowedMemoryStaysItsOwners) {
  float values[4] = {1, 2, 3, 4};
  const Tensor borrowed = device_->borrow(values, {2, 2});
  borrowed.data<float>()[3] = 9;
  EXPECT_EQ(values[3], 9);
  EXPECT_EQ(borrowed.device(), device_.get());
}

TEST_F(TensorTest, CopiesMustFit) {
  const Tensor from = counting({6});
  Tensor to = device_->empty({6}), other = device_->empty({6}, DType::kInt64);
  Tensor shorter = device_->empty({5});
  device_->copy(from, to);
  EXPECT_TRUE(std::ranges::equal(from.span<float>(), to.span<float>()));
  EXPECT_THROW(device_->copy(from, other), Error);
  EXPECT_THROW(device_->copy(from, shorter), Error);
}

TEST_F(TensorTest, TheHostsTensorIsItsOwnHostCopy) {
  const Tensor tensor = counting({3});
  EXPECT_EQ(tensor.to_host().data<float>(), tensor.data<float>());
}

}  // namespace
}  // namespace lockstep
