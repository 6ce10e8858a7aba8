#include "launch/score_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace lockstep {

namespace {

constexpr std::size_t kMostMatrix = 20;  // classes of a matrix that still fits on a screen
constexpr std::size_t kMostRows = 20, kWorstRows = 10, kPairs = 5;

std::size_t name_width(const ClassScores& scores, const std::vector<std::string>& names) {
  std::size_t width = 5;
  for (std::size_t c = 0; c < scores.classes.size(); ++c)
    width = std::max(width, class_name(names, static_cast<std::int64_t>(c)).size());
  return width;
}

std::string figure(double value) {
  return std::isnan(value) ? fmt::format("{:>9}", "-") : fmt::format("{:>9.4f}", value);
}

std::string by_class(const ClassScores& scores, const std::vector<std::string>& names) {
  const std::size_t width = name_width(scores, names), count = scores.classes.size();
  std::vector<std::size_t> shown(count);
  std::iota(shown.begin(), shown.end(), std::size_t{0});
  std::string text = fmt::format("\n  {:>{}} {:>8} {:>9} {:>9} {:>9} {:>9}\n", "class", width,
                                 "rows", "precision", "recall", "F1", "ROC AUC");
  if (count > kMostRows) {
    std::erase_if(shown, [&](std::size_t c) {
      return scores.classes[c].rows + scores.classes[c].predicted == 0;
    });
    std::stable_sort(shown.begin(), shown.end(), [&](std::size_t a, std::size_t b) {
      return scores.classes[a].f1 < scores.classes[b].f1;
    });
    if (shown.size() > kWorstRows) shown.resize(kWorstRows);
    text = fmt::format("\nthe {} classes of the lowest F1, of {} (all with --json FILE):",
                       shown.size(), count) +
           text;
  }
  for (const std::size_t c : shown) {
    const ClassScore& score = scores.classes[c];
    text +=
        fmt::format("  {:>{}} {:>8} {} {} {} {}\n", class_name(names, static_cast<std::int64_t>(c)),
                    width, score.rows, figure(score.precision), figure(score.recall),
                    figure(score.f1), figure(score.roc_auc));
  }
  // Of two classes the one curve has one area, which stands in both rows.
  const double area = count == 2 ? std::nan("") : scores.roc_auc;
  text +=
      fmt::format("  {:>{}} {:>8} {} {} {} {}\n", "mean", width, "", figure(scores.macro_precision),
                  figure(scores.macro_recall), figure(scores.macro_f1), figure(area));
  return text;
}

std::string matrix(const ClassScores& scores, const std::vector<std::string>& names) {
  const std::size_t count = scores.classes.size(), width = name_width(scores, names);
  if (count > kMostMatrix)
    return fmt::format("\nconfusion matrix of {0} x {0} classes: with --json FILE\n", count);
  const std::int64_t largest = *std::max_element(scores.confusion.begin(), scores.confusion.end());
  const std::size_t digits = std::max<std::size_t>(5, std::to_string(largest).size());
  std::string text = "\nconfusion (rows: true class, columns: predicted, in the same order)\n";
  for (std::size_t row = 0; row < count; ++row) {
    text += fmt::format("  {:>{}} ", class_name(names, static_cast<std::int64_t>(row)), width);
    for (std::size_t column = 0; column < count; ++column)
      text += fmt::format(" {:>{}}", scores.confusion[row * count + column], digits);
    text += "\n";
  }
  return text;
}

std::string pairs(const ClassScores& scores, const std::vector<std::string>& names) {
  const std::vector<ConfusedPair> worst = scores.most_confused(kPairs);
  if (worst.empty()) return "\nno row is confused with another class\n";
  std::string text = "\nmost confused\n";
  for (const ConfusedPair& pair : worst) {
    const std::int64_t rows = scores.classes[static_cast<std::size_t>(pair.is)].rows;
    text += fmt::format("  {} taken for {}: {} of {} rows\n", class_name(names, pair.is),
                        class_name(names, pair.taken_for), pair.rows, rows);
  }
  return text;
}

// JSON knows no NaN: such a figure is null.
nlohmann::ordered_json number(double value) {
  return std::isnan(value) ? nlohmann::ordered_json() : nlohmann::ordered_json(value);
}

}  // namespace

std::string score_table(const ClassScores& scores, const std::vector<std::string>& names) {
  return by_class(scores, names) + matrix(scores, names) + pairs(scores, names);
}

void add_scores(nlohmann::ordered_json& json, const ClassScores& scores,
                const std::vector<std::string>& names) {
  json["macro_precision"] = number(scores.macro_precision);
  json["macro_recall"] = number(scores.macro_recall);
  json["macro_f1"] = number(scores.macro_f1);
  json["roc_auc"] = number(scores.roc_auc);
  json["classes"] = nlohmann::ordered_json::array();
  for (std::size_t c = 0; c < scores.classes.size(); ++c) {
    const ClassScore& score = scores.classes[c];
    json["classes"].push_back({{"class", class_name(names, static_cast<std::int64_t>(c))},
                               {"rows", score.rows},
                               {"predicted", score.predicted},
                               {"precision", number(score.precision)},
                               {"recall", number(score.recall)},
                               {"f1", number(score.f1)},
                               {"roc_auc", number(score.roc_auc)}});
  }
  json["confusion"] = scores.confusion;
  json["most_confused"] = nlohmann::ordered_json::array();
  for (const ConfusedPair& pair : scores.most_confused(kPairs))
    json["most_confused"].push_back({{"class", class_name(names, pair.is)},
                                     {"taken_for", class_name(names, pair.taken_for)},
                                     {"rows", pair.rows}});
}

std::string class_name(const std::vector<std::string>& names, std::int64_t label) {
  const auto place = static_cast<std::size_t>(label);
  return place < names.size() ? names[place] : std::to_string(label);
}

}  // namespace lockstep
