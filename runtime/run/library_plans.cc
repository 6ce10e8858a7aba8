#include "runtime/run/library_plans.h"

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

#include "io/base/checksum.h"
#include "io/base/file.h"
#include "runtime/communication/agreement.h"

namespace lockstep {

namespace {

// A line each: question, tab, choice.
std::string lines_of(const std::vector<LibraryPlan>& plans) {
  std::string text;
  for (const LibraryPlan& plan : plans) text += plan.question + '\t' + plan.choice + '\n';
  return text;
}

std::vector<LibraryPlan> plans_of(std::istream& lines, const std::string& where) {
  std::vector<LibraryPlan> plans;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) throw Error("{}: \"{}\" is no plan", where, line);
    plans.push_back({line.substr(0, tab), line.substr(tab + 1)});
  }
  return plans;
}

std::string text_of(const std::string& libraries, const std::vector<LibraryPlan>& plans) {
  return libraries + '\n' + lines_of(plans);
}

}  // namespace

void LibraryPlans::take(const std::vector<LibraryPlan>& plans) {
  if (!device_.gpu) return;
  together(communicator_, [&] { device_.library->take_plans(*device_.backend, plans); });
}

bool LibraryPlans::agree() {
  if (!device_.gpu) return false;
  const std::size_t before = choices_.size();
  const std::string own = lines_of(device_.library->plans(*device_.backend));
  std::vector<std::string> all = communicator_.all_gather(fmt::format("{:016x}", checksum(own)));
  // They all ask the same, and choose the same, but for a fault that is to be named.
  const bool equal = std::ranges::all_of(all, [&](const auto& text) { return text == all[0]; });
  all = equal ? std::vector{own} : communicator_.all_gather(own);
  std::map<std::string, std::pair<std::size_t, std::string>> first;  // who, and what
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    std::istringstream lines(all[rank]);
    for (const LibraryPlan& plan : plans_of(lines, "a rank's plans")) {
      const auto [place, is_new] = first.try_emplace(plan.question, rank, plan.choice);
      const auto& [earlier, choice] = place->second;
      if (choice != plan.choice)
        throw AgreedError(fmt::format(
            "ranks disagree about a plan: for \"{}\" rank {} took \"{}\", rank {} \"{}\". All "
            "ranks need the same kind of GPU and the same libraries: compare what lockstep "
            "--version --verbose says on their hosts",
            plan.question, communicator_.job_rank(static_cast<int>(earlier)), choice,
            communicator_.job_rank(static_cast<int>(rank)), plan.choice));
      choices_[plan.question] = plan.choice;
    }
  }
  return choices_.size() > before;
}

std::vector<LibraryPlan> LibraryPlans::plans() const {
  std::vector<LibraryPlan> plans;
  for (const auto& [question, choice] : choices_) plans.push_back({question, choice});
  return plans;
}

void LibraryPlans::write(const std::string& file) const {
  write_text(file, text_of(device_.gpu_libraries, plans()));
}

std::string LibraryPlans::digest() const {
  return plans_digest(device_.gpu_libraries, plans());
}

std::string plans_digest(const std::string& libraries, const std::vector<LibraryPlan>& plans) {
  return fmt::format("{:016x}", checksum(text_of(libraries, plans)));
}

std::string changed_plans(const std::vector<LibraryPlan>& then,
                          const std::vector<LibraryPlan>& now) {
  constexpr std::size_t kNamed = 3;
  std::map<std::string, std::string> choices;
  for (const LibraryPlan& plan : now) choices[plan.question] = plan.choice;
  std::string text;
  std::size_t changed = 0;
  for (const LibraryPlan& plan : then) {
    const auto found = choices.find(plan.question);
    if (found == choices.end() || found->second == plan.choice) continue;
    if (++changed <= kNamed)
      text += fmt::format("\n    {}: {} then, {} now", plan.question, plan.choice, found->second);
  }
  return changed == 0 ? "" : fmt::format("{} of {} plans differ:{}", changed, then.size(), text);
}

}  // namespace lockstep
