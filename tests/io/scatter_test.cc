// The principal plane of rows, and the picture of points coloured by class.
#include "io/inspection/scatter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "io/dataset/dataset.h"
#include "io/images/decode.h"
#include "io/inspection/principal_plane.h"
#include "tests/io/h5_files.h"

namespace lockstep {
namespace {

Tensor rows_of(std::int64_t rows, std::int64_t columns,
               const std::function<double(std::int64_t, std::int64_t)>& value) {
  const Tensor x = host_tensor({rows, columns}, DType::kFloat32);
  for (std::int64_t i = 0; i < x.elements(); ++i)
    x.data<float>()[i] = static_cast<float>(value(i / columns, i % columns));
  return x;
}

// Rows a u + b w + c z along orthonormal directions, with a and b of most of the variance: a and b
// come back, up to their signs.
TEST(PrincipalPlane, FindsTheDirectionsOfMostVariance) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  constexpr std::int64_t kRows = 400, kColumns = 30;
  std::vector<std::vector<double>> direction(3, std::vector<double>(kColumns));
  for (std::size_t k = 0; k < 3; ++k) {
    for (double& value : direction[k]) value = normal(engine);
    for (std::size_t earlier = 0; earlier < k; ++earlier) {
      double across = 0;
      for (std::size_t c = 0; c < kColumns; ++c) across += direction[k][c] * direction[earlier][c];
      for (std::size_t c = 0; c < kColumns; ++c) direction[k][c] -= across * direction[earlier][c];
    }
    double length = 0;
    for (const double value : direction[k]) length += value * value;
    for (double& value : direction[k]) value /= std::sqrt(length);
  }
  // Coefficients without correlation: sines of different frequencies over whole periods.
  const auto coefficient = [](std::int64_t row, std::size_t k) {
    const double turn = 2 * M_PI * static_cast<double>(row) / kRows;
    return k == 0 ? 5 * std::sin(turn) : k == 1 ? 3 * std::sin(2 * turn) : std::sin(3 * turn);
  };
  const Tensor x = rows_of(kRows, kColumns, [&](std::int64_t row, std::int64_t c) {
    double value = 100;
    for (std::size_t k = 0; k < 3; ++k)
      value += coefficient(row, k) * direction[k][static_cast<std::size_t>(c)];
    return value;
  });
  const PrincipalPlane plane = principal_plane(x);
  EXPECT_NEAR(plane.share[0], 25.0 / 35, 1e-4);
  EXPECT_NEAR(plane.share[1], 9.0 / 35, 1e-4);
  for (std::size_t k = 0; k < 2; ++k) {
    const double sign = plane.places[33][k] * coefficient(33, k) > 0 ? 1 : -1;
    for (std::int64_t row = 0; row < kRows; ++row)
      ASSERT_NEAR(plane.places[static_cast<std::size_t>(row)][k], sign * coefficient(row, k), 1e-3);
  }
  EXPECT_EQ(principal_plane(x).places, plane.places);
}

TEST(PrincipalPlane, TakesWhatHasNoPlane) {
  const PrincipalPlane equal = principal_plane(rows_of(5, 3, [](auto, auto) { return 7; }));
  EXPECT_EQ(equal.share, (std::array<double, 2>{0, 0}));
  EXPECT_EQ(equal.places[4], (std::array<double, 2>{0, 0}));
  const PrincipalPlane line =
      principal_plane(rows_of(5, 1, [](std::int64_t row, auto) { return 2.0 * row; }));
  EXPECT_NEAR(line.share[0], 1, 1e-12);
  EXPECT_NEAR(line.places[4][0] - line.places[0][0], 8, 1e-9);
  EXPECT_EQ(line.places[4][1], 0);
  EXPECT_NE(error_of([] {
              principal_plane(rows_of(2, 2, [](auto, auto) { return NAN; }));
            }).find("not finite"),
            std::string::npos);
}

TEST(Scatter, DrawsEachClassInItsColour) {
  const ScratchFolder folder;
  const std::vector<std::array<double, 2>> points = {{0, 0}, {10, 0}, {10, 10}};
  const std::vector<std::int64_t> labels = {0, 1, -1};
  ScatterPlot plot{
      "title", {"one", "two"}, points, labels, {"cat", "dog"}, PlotSquare::around(points), {}};
  write_scatter(plot, folder.file("s.png"));
  const Tensor image = read_image(folder.file("s.png"), 3);
  ASSERT_EQ(image.shape(), (Shape{800, 1000, 3}));
  // How many pixels are nearer to a colour than to white or any other.
  const auto reddest = [&](std::int64_t y, std::int64_t x) {
    const std::uint8_t* const pixel = image.data<std::uint8_t>() + (y * 1000 + x) * 3;
    return static_cast<int>(pixel[0]) - static_cast<int>(pixel[2]);
  };
  // The square of 700 pixels at (44, 44) holds the range with a margin of 3 %.
  const std::int64_t low = 44 + 20, high = 44 + 680;
  EXPECT_LT(reddest(high, low), -50) << "blue, below on the left";
  EXPECT_GT(reddest(high, high), 50) << "orange, below on the right";
  EXPECT_EQ(reddest(low, high), 0) << "grey, above on the right";
  EXPECT_LT(image.data<std::uint8_t>()[(low * 1000 + high) * 3], 220);
  EXPECT_EQ(image.data<std::uint8_t>()[(low * 1000 + low) * 3], 255)
      << "nothing, above on the left";

  // A long name is written out: there is ink where the picture without it ends.
  plot.classes[1] = "a name of thirty-one letters ...";
  write_scatter(plot, folder.file("long.png"));
  const Tensor wider = read_image(folder.file("long.png"), 1);
  ASSERT_GT(wider.shape()[1], 1000 + 100);
  std::int64_t ink = 0;
  for (std::int64_t y = 44; y < 44 + 48; ++y)
    for (std::int64_t x = 1000; x < wider.shape()[1]; ++x)
      ink += wider.data<std::uint8_t>()[y * wider.shape()[1] + x] < 128;
  EXPECT_GT(ink, 20);
  plot.classes[1] = "dog";

  // Behind them the half above is of class 1, the half below of class 0.
  std::vector<std::int64_t> cells;
  for (std::int64_t cell = 0; cell < kPlotCells * kPlotCells; ++cell)
    cells.push_back(middle_of_cell(plot.square, cell)[1] > 5 ? 1 : 0);
  plot.cells = cells;
  write_scatter(plot, folder.file("b.png"));
  const Tensor behind = read_image(folder.file("b.png"), 3);
  const auto red_less_blue = [&](std::int64_t y, std::int64_t x) {
    const std::uint8_t* const pixel = behind.data<std::uint8_t>() + (y * 1000 + x) * 3;
    return static_cast<int>(pixel[0]) - static_cast<int>(pixel[2]);
  };
  EXPECT_GT(red_less_blue(44 + 340, 44 + 10), 20) << "orange";
  EXPECT_LT(red_less_blue(44 + 360, 44 + 10), -20) << "blue";
}

}  // namespace
}  // namespace lockstep
