// The picture of a scaling run, drawn as plain SVG text.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "launch/bench/scaling_model.h"

namespace lockstep {

namespace {

constexpr double kTop = 70, kHeight = 300, kWidth = 340;
constexpr const char* kWeakColor = "#1b6ca8";
constexpr const char* kStrongColor = "#c8511b";

struct Panel {
  double left;
  double x_max;         // ranks, log2 from 1
  double y_min, y_max;  // logarithmic where y_log
  bool y_log;

  double x(double ranks) const {
    return left + (x_max > 1 ? kWidth * std::log2(ranks) / std::log2(x_max) : kWidth / 2);
  }
  double y(double value) const {
    const double part = y_log ? std::log(value / y_min) / std::log(y_max / y_min)
                              : (value - y_min) / (y_max - y_min);
    return kTop + kHeight * (1 - std::clamp(part, 0.0, 1.0));
  }
};

std::string text(double x, double y, const std::string& anchor, const std::string& words,
                 const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" {}>{}</text>\n", x, y,
                     anchor, more, words);
}

std::string line(double x1, double y1, double x2, double y2, const std::string& style) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1,
                     x2, y2, style);
}

std::string rate_label(double rate) {
  if (rate >= 1e6) return fmt::format("{:g} M", rate / 1e6);
  if (rate >= 1e3) return fmt::format("{:g} k", rate / 1e3);
  return fmt::format("{:g}", rate);
}

std::string frame(const Panel& panel, const std::string& title, int measured_ranks) {
  std::string svg;
  if (panel.x_max > measured_ranks) {
    const double begin = panel.x(measured_ranks);
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#f1f1f1\"/>\n",
        begin, kTop, panel.left + kWidth - begin, kHeight);
    svg += text((begin + panel.left + kWidth) / 2, kTop + 14, "middle", "projection, not measured",
                "fill=\"#777\" font-style=\"italic\" font-size=\"11\"");
  }
  svg += text(panel.left, kTop - 14, "start", title, "font-weight=\"bold\"");
  const auto tick = [&](double value, const std::string& label) {
    svg += line(panel.left, panel.y(value), panel.left + kWidth, panel.y(value), "stroke=\"#ddd\"");
    svg += text(panel.left - 8, panel.y(value) + 4, "end", label);
  };
  if (panel.y_log) {
    for (double decade = 1; decade <= panel.y_max; decade *= 10)
      for (double value : {decade, 2 * decade, 5 * decade})
        if (value >= panel.y_min * 0.999 && value <= panel.y_max * 1.001)
          tick(value, rate_label(value));
  } else {
    for (int percent = 0; percent <= 100 * panel.y_max; percent += panel.y_max > 2 ? 100 : 20)
      tick(percent / 100.0, fmt::format("{} %", percent));
  }
  for (int ranks = 1; ranks <= panel.x_max; ranks *= 2) {
    svg +=
        line(panel.x(ranks), kTop + kHeight, panel.x(ranks), kTop + kHeight + 5, "stroke=\"#333\"");
    svg += text(panel.x(ranks), kTop + kHeight + 20, "middle", std::to_string(ranks));
  }
  svg += text(panel.left + kWidth / 2, kTop + kHeight + 40, "middle", "ranks");
  svg += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"none\" "
      "stroke=\"#333\"/>\n",
      panel.left, kTop, kWidth, kHeight);
  return svg;
}

// The measured part solid, the rest dashed from the last measured point on.
std::string curve(const Panel& panel, const std::vector<ScalingPoint>& points, bool weak,
                  double ScalingPoint::*value) {
  const char* color = weak ? kWeakColor : kStrongColor;
  std::string measured, projected, marks;
  for (const ScalingPoint& point : points) {
    if (point.weak != weak) continue;
    const std::string place =
        fmt::format("{:.1f},{:.1f} ", panel.x(point.ranks), panel.y(point.*value));
    if (point.measured)
      measured += place, projected = place;
    else
      projected += place;
    marks += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\" "
        "stroke-width=\"1.5\"/>\n",
        panel.x(point.ranks), panel.y(point.*value), point.measured ? color : "white", color);
  }
  const auto polyline = [&](const std::string& places, const char* dashes) {
    return fmt::format(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" {}/>\n", places,
        color, dashes);
  };
  return polyline(measured, "") + polyline(projected, "stroke-dasharray=\"5 4\"") + marks;
}

// The nearest of 1, 2, 5 times a power of ten, below or above.
double round_rate(double rate, bool up) {
  const double decade = std::pow(10, std::floor(std::log10(rate)));
  double below = decade;
  for (double value : {decade, 2 * decade, 5 * decade, 10 * decade}) {
    if (up && value >= rate) return value;
    if (value <= rate) below = value;
  }
  return below;
}

}  // namespace

std::string scaling_svg(const std::vector<ScalingPoint>& points, const ScalingModel& model,
                        const std::string& title) {
  int most = 1, measured = 1;
  double low = points.front().samples_per_second, high = low;
  double best = 1;  // efficiency: caches may make more ranks better than their number
  bool turns = false;
  for (const ScalingPoint& point : points) {
    most = std::max(most, point.ranks);
    if (point.measured) measured = std::max(measured, point.ranks);
    low = std::min(low, point.samples_per_second);
    high = std::max(high, point.samples_per_second);
    best = std::max(best, point.efficiency);
    turns = turns || point.taking_turns;
  }
  const double one = one_rank(points, true).samples_per_second;
  high = std::max(high, one * most);
  const Panel rates{80, double(most), round_rate(low, false), round_rate(high, true), true};
  const Panel efficiency{520, double(most), 0, 1.1 * best, false};

  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"500\" viewBox=\"0 0 900 "
      "500\" "
      "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n"
      "<rect width=\"900\" height=\"500\" fill=\"white\"/>\n";
  svg += text(80, 30, "start", title, "font-size=\"15\" font-weight=\"bold\"");
  svg += frame(rates, "samples a second", measured);
  svg += frame(efficiency, "efficiency", measured);
  const std::string ideal = "stroke=\"#999\" stroke-dasharray=\"2 3\" stroke-width=\"1.5\"";
  svg += line(rates.x(1), rates.y(one), rates.x(most), rates.y(one * most), ideal);
  svg += line(efficiency.x(1), efficiency.y(1), efficiency.x(most), efficiency.y(1), ideal);
  for (const bool weak : {true, false}) {
    svg += curve(rates, points, weak, &ScalingPoint::samples_per_second);
    svg += curve(efficiency, points, weak, &ScalingPoint::efficiency);
  }

  const double legend = kTop + kHeight + 68;
  const auto entry = [&](double x, const std::string& style, const std::string& words) {
    svg += line(x, legend - 4, x + 26, legend - 4, style);
    svg += text(x + 34, legend, "start", words);
  };
  entry(80, fmt::format("stroke=\"{}\" stroke-width=\"2\"", kWeakColor),
        "weak: batch grows with ranks");
  entry(330, fmt::format("stroke=\"{}\" stroke-width=\"2\"", kStrongColor), "strong: one batch");
  entry(510, ideal, "ideal");
  const std::string bandwidth =
      model.gigabytes_per_second > 0
          ? fmt::format("1/beta = {:.3g} GB/s", model.gigabytes_per_second)
          : "no cost by bytes";
  const std::string fit =
      model.points == 0
          ? std::string("no fit: it needs two rank counts")
          : fmt::format("fit over {} points: alpha = {:.3g} us, {}; rms of the rest {:.3g} ms",
                        model.points, model.alpha_us, bandwidth, model.residual_ms);
  svg += text(80, legend + 24, "start",
              fit + (turns ? "; more workers than cores: they took turns" : ""), "fill=\"#555\"");
  return svg + "</svg>\n";
}

}  // namespace lockstep
