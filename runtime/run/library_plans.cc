#include "runtime/run/library_plans.h"

#include <filesystem>
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
    if (tab == std::string::npos)
      throw Error("{}: \"{}\" is no plan; remove the file, and the plans are made anew", where,
                  line);
    plans.push_back({line.substr(0, tab), line.substr(tab + 1)});
  }
  return plans;
}

}  // namespace

std::string LibraryPlans::take(const std::string& file) {
  if (!device_.gpu) return "";
  std::string text;
  together(communicator_, [&] {
    if (communicator_.rank() == 0 && std::filesystem::exists(file)) text = read_text(file);
  });
  text = communicator_.broadcast(text, 0);
  if (text.empty()) return file + ": there is none; plans of the GPU's libraries are made anew";
  std::istringstream lines(text);
  std::string libraries;
  std::getline(lines, libraries);
  if (libraries != device_.gpu_libraries)
    return fmt::format("{}: plans of {} are left alone, those of {} are made anew", file, libraries,
                       device_.gpu_libraries);
  together(communicator_,
           [&] { device_.library->take_plans(*device_.backend, plans_of(lines, file)); });
  return "";
}

bool LibraryPlans::agree() {
  if (!device_.gpu) return false;
  const std::size_t before = choices_.size();
  const std::vector<std::string> all =
      communicator_.all_gather(lines_of(device_.library->plans(*device_.backend)));
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

std::string LibraryPlans::text() const {
  std::vector<LibraryPlan> plans;
  for (const auto& [question, choice] : choices_) plans.push_back({question, choice});
  return device_.gpu_libraries + '\n' + lines_of(plans);
}

void LibraryPlans::write(const std::string& file) const {
  write_text(file, text());
}

std::string LibraryPlans::digest() const {
  return fmt::format("{:016x}", checksum(text()));
}

}  // namespace lockstep
