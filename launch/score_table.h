// How `evaluate` shows the scores of classes: tables for people, JSON for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/run/scores.h"

namespace lockstep {

// Precision, recall, F1 and ROC AUC by class and their means, the confusion matrix, and the pairs
// that are confused most. Of many classes the worst alone are shown, and the text says so.
std::string score_table(const ClassScores& scores, const std::vector<std::string>& names);

// Adds everything to `json`, all classes and the whole matrix; undefined figures are null.
void add_scores(nlohmann::ordered_json& json, const ClassScores& scores,
                const std::vector<std::string>& names);

// The class's name, or its number where it has none.
std::string class_name(const std::vector<std::string>& names, std::int64_t label);

}  // namespace lockstep
