// A scatter plot: points of a plane coloured by their class, with a legend.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

struct ScatterPlot {
  std::string title;
  std::array<std::string, 2> axes;  // captions, horizontal and vertical
  std::span<const std::array<double, 2>> points;
  std::span<const std::int64_t> labels;  // by point; below 0: none, drawn grey
  std::vector<std::string> classes;      // names by label
};

// An RGB picture of 1000 x 800 pixels. Points lie over one another half transparent, drawn in their
// order; as many classes as fit are named beside them.
void write_scatter(const ScatterPlot& plot, const std::string& png);

}  // namespace lockstep
