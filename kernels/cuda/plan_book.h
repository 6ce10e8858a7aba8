// PlanBook: the plans of one device's libraries: those of an earlier run that are to be taken
// again, and what was chosen since.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/gpu/library_plan.h"

namespace lockstep::gpu {

class PlanBook {
 public:
  // Throws Error where a question was asked already and answered otherwise.
  void take(const std::vector<LibraryPlan>& plans) {
    for (const auto& [question, choice] : plans) {
      const std::string own = this->choice(question);
      if (!own.empty() && own != choice)
        throw Error(
            "the plan that {} had before, {}, is not taken again: {} was chosen here. Go back to "
            "the GPU and libraries of then, or resume with --allow-change gpu: other bits",
            question, choice, own);
      note(question, choice);
    }
  }

  // Empty where nothing was chosen for it.
  std::string choice(const std::string& question) const {
    const std::lock_guard lock(mutex_);
    const auto found = choices_.find(question);
    return found == choices_.end() ? "" : found->second;
  }

  void note(const std::string& question, const std::string& choice) {
    const std::lock_guard lock(mutex_);
    const auto [place, is_new] = choices_.emplace(question, choice);
    LOCKSTEP_CHECK(is_new || place->second == choice, "{}: planned as {}, then as {}", question,
                   place->second, choice);
  }

  std::vector<LibraryPlan> plans() const {  // by question
    const std::lock_guard lock(mutex_);
    std::vector<LibraryPlan> plans;
    for (const auto& [question, choice] : choices_) plans.push_back({question, choice});
    return plans;
  }

 private:
  mutable std::mutex mutex_;  // replicas plan on threads of their own
  std::map<std::string, std::string> choices_;
};

}  // namespace lockstep::gpu
