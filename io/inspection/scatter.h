// A scatter plot: points of a plane coloured by their class, with a legend, and behind them, where
// it is given, the class of every place.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

// What the picture shows: one unit is as long along both axes.
struct PlotSquare {
  double left = 0, bottom = 0, side = 1;
  // All points with a margin around them.
  static PlotSquare around(std::span<const std::array<double, 2>> points);
};

// The background has so many cells along each side.
inline constexpr std::int64_t kPlotCells = 350;

struct ScatterPlot {
  std::string title;
  std::array<std::string, 2> axes;  // captions, horizontal and vertical
  std::span<const std::array<double, 2>> points;
  std::span<const std::int64_t> labels;  // by point; below 0: none, drawn grey
  std::vector<std::string> classes;      // names by label
  PlotSquare square;
  std::span<const std::int64_t>
      cells{};  // labels, a row of cells after another from above; or none
};

// The middle of a cell of the background, as cells are counted there.
std::array<double, 2> middle_of_cell(const PlotSquare& square, std::int64_t cell);

// An RGB picture of 1000 x 800 pixels, wider where names of classes are long. Points lie over one
// another half transparent, drawn in their order; as many classes as fit are named beside them.
void write_scatter(const ScatterPlot& plot, const std::string& png);

}  // namespace lockstep
