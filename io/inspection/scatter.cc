#include "io/inspection/scatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "io/dataset/dataset.h"
#include "io/formats/png.h"
#include "io/inspection/bitmap_font.h"
#include "kernels/core/error.h"

namespace lockstep {

namespace {

constexpr std::int64_t kHeight = 800, kLeastWidth = 1000;
constexpr std::int64_t kTop = 44, kLeft = 44, kSide = 700;  // of the square that holds the points
constexpr std::int64_t kLegend = kLeft + kSide + 24;        // its left side
constexpr std::int64_t kTextScale = 2, kLineHeight = 24, kSwatch = 14;
constexpr std::int64_t kLegendText = kLegend + kSwatch + 10;
constexpr std::int64_t kMostLetters = 60;  // of a class's name
constexpr double kMargin = 0.03;           // of the range, around the points
constexpr double kOpacity = 0.55, kBackground = 0.25;
constexpr std::int64_t kFewPoints = 2000;  // so many are drawn larger

using Colour = std::array<std::uint8_t, 3>;

constexpr Colour kGrey = {150, 150, 150}, kFrame = {90, 90, 90};

// Ten colours that are told apart (D3's category10); then hues a golden angle from one another.
Colour colour_of(std::int64_t label) {
  static constexpr Colour kTen[] = {
      {31, 119, 180}, {255, 127, 14},  {44, 160, 44},   {214, 39, 40},  {148, 103, 189},
      {140, 86, 75},  {227, 119, 194}, {127, 127, 127}, {188, 189, 34}, {23, 190, 207}};
  if (label < 0) return kGrey;
  if (label < 10) return kTen[label];
  const double hue = std::fmod(static_cast<double>(label) * 0.381966, 1.0) * 6;
  Colour colour{};
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const double from_peak =
        std::fabs(std::fmod(hue + 6 - 2 * static_cast<double>(channel), 6.0) - 3);
    const double share = std::clamp(from_peak - 1, 0.0, 1.0);
    colour[channel] = static_cast<std::uint8_t>(60 + 160 * share);
  }
  return colour;
}

class Canvas {
 public:
  explicit Canvas(std::int64_t width) : image_(host_tensor({kHeight, width, 3}, DType::kUInt8)) {
    std::fill_n(image_.data<std::uint8_t>(), image_.elements(), std::uint8_t{255});
  }

  const Tensor& image() const { return image_; }
  void blend(std::int64_t y, std::int64_t x, const Colour& colour, double opacity) {
    const std::int64_t width = image_.shape()[1];
    if (y < 0 || y >= kHeight || x < 0 || x >= width) return;
    std::uint8_t* const pixel = image_.data<std::uint8_t>() + (y * width + x) * 3;
    for (std::size_t c = 0; c < 3; ++c)
      pixel[c] =
          static_cast<std::uint8_t>(std::lround(pixel[c] * (1 - opacity) + colour[c] * opacity));
  }
  void rectangle(std::int64_t top, std::int64_t left, std::int64_t height, std::int64_t width,
                 const Colour& colour) {
    for (std::int64_t y = top; y < top + height; ++y)
      for (std::int64_t x = left; x < left + width; ++x) blend(y, x, colour, 1);
  }
  void disc(std::int64_t y, std::int64_t x, std::int64_t radius, const Colour& colour) {
    for (std::int64_t dy = -radius; dy <= radius; ++dy)
      for (std::int64_t dx = -radius; dx <= radius; ++dx)
        if (dy * dy + dx * dx <= radius * radius + 1) blend(y + dy, x + dx, colour, kOpacity);
  }
  void text(std::int64_t top, std::int64_t left, std::string_view words) {
    draw_text(image_, top, left, kTextScale, words);
  }

 private:
  Tensor image_;
};

struct Window {
  const PlotSquare& square;
  std::int64_t x(double value) const {
    return kLeft + std::llround((value - square.left) / square.side * kSide);
  }
  std::int64_t y(double value) const {
    return kTop + kSide - std::llround((value - square.bottom) / square.side * kSide);
  }
};

void draw_cells(Canvas& canvas, std::span<const std::int64_t> cells) {
  constexpr std::int64_t kCell = kSide / kPlotCells;
  static_assert(kCell * kPlotCells == kSide);
  for (std::int64_t i = 0; i < std::ssize(cells); ++i)
    for (std::int64_t pixel = 0; pixel < kCell * kCell; ++pixel)
      canvas.blend(kTop + i / kPlotCells * kCell + pixel / kCell,
                   kLeft + i % kPlotCells * kCell + pixel % kCell,
                   colour_of(cells[static_cast<std::size_t>(i)]), kBackground);
}

std::int64_t width_for(const std::vector<std::string>& classes) {
  std::int64_t letters = 0;
  for (const std::string& name : classes) letters = std::max(letters, std::ssize(name));
  letters = std::min(letters, kMostLetters);
  return std::max(kLeastWidth, kLegendText + letters * kGlyphAdvance * kTextScale + 10);
}

void draw_legend(Canvas& canvas, const ScatterPlot& plot) {
  const auto classes = static_cast<std::int64_t>(plot.classes.size());
  const std::int64_t lines = kSide / kLineHeight, shown = classes > lines ? lines - 1 : classes;
  std::int64_t top = kTop;
  for (std::int64_t label = 0; label < shown; ++label, top += kLineHeight) {
    canvas.rectangle(top, kLegend, kSwatch, kSwatch, colour_of(label));
    canvas.text(top, kLegendText, plot.classes[static_cast<std::size_t>(label)]);
  }
  if (shown < classes) canvas.text(top, kLegend, fmt::format("and {} more", classes - shown));
}

}  // namespace

PlotSquare PlotSquare::around(std::span<const std::array<double, 2>> points) {
  std::array<double, 2> low, high;
  low.fill(std::numeric_limits<double>::infinity());
  high.fill(-std::numeric_limits<double>::infinity());
  for (const auto& point : points)
    for (std::size_t axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], point[axis]);
      high[axis] = std::max(high[axis], point[axis]);
    }
  double side = std::max(high[0] - low[0], high[1] - low[1]) * (1 + 2 * kMargin);
  if (!(side > 0)) side = 1;
  return {(low[0] + high[0] - side) / 2, (low[1] + high[1] - side) / 2, side};
}

std::array<double, 2> middle_of_cell(const PlotSquare& square, std::int64_t cell) {
  const double step = square.side / kPlotCells;
  return {square.left + (static_cast<double>(cell % kPlotCells) + 0.5) * step,
          square.bottom + square.side - (static_cast<double>(cell / kPlotCells) + 0.5) * step};
}

void write_scatter(const ScatterPlot& plot, const std::string& png) {
  LOCKSTEP_CHECK(plot.points.size() == plot.labels.size() && !plot.points.empty(),
                 "{} points with {} labels", plot.points.size(), plot.labels.size());
  LOCKSTEP_CHECK(plot.cells.empty() || std::ssize(plot.cells) == kPlotCells * kPlotCells,
                 "{} cells", plot.cells.size());
  Canvas canvas(width_for(plot.classes));
  draw_cells(canvas, plot.cells);
  const Window window{plot.square};
  const std::int64_t radius = static_cast<std::int64_t>(plot.points.size()) <= kFewPoints ? 3 : 2;
  for (std::size_t i = 0; i < plot.points.size(); ++i)
    canvas.disc(window.y(plot.points[i][1]), window.x(plot.points[i][0]), radius,
                colour_of(plot.labels[i]));
  for (const std::int64_t offset : {std::int64_t{0}, kSide}) {
    canvas.rectangle(kTop + offset, kLeft, 1, kSide + 1, kFrame);
    canvas.rectangle(kTop, kLeft + offset, kSide + 1, 1, kFrame);
  }
  canvas.text(14, kLeft, plot.title);
  canvas.text(kTop + kSide + 10, kLeft, "across: " + plot.axes[0]);
  canvas.text(kTop + kSide + 10 + kLineHeight, kLeft, "up: " + plot.axes[1]);
  draw_legend(canvas, plot);
  write_png(png, canvas.image());
}

}  // namespace lockstep
