#include "runtime/communication/agreement.h"

#include <algorithm>

namespace lockstep {

namespace {

// The first line in which two texts differ, from the first of them.
std::string differing_line(const std::string& text, const std::string& other) {
  const auto at = std::mismatch(text.begin(), text.end(), other.begin(), other.end()).first;
  const auto place = static_cast<std::size_t>(at - text.begin());
  const std::size_t begin = place == 0 ? 0 : text.rfind('\n', place - 1) + 1;
  return text.substr(begin, std::min(text.find('\n', begin), begin + 120) - begin);
}

}  // namespace

void together(Communicator& communicator, const std::function<void()>& work) {
  std::string mine;
  try {
    work();
  } catch (const AgreedError&) {
    throw;
  } catch (const std::exception& error) {
    mine = std::string("!") + error.what();
  }
  const std::vector<std::string> errors = communicator.all_gather(mine);
  const auto failed = [](const std::string& text) { return !text.empty(); };
  const auto first = std::find_if(errors.begin(), errors.end(), failed);
  if (first == errors.end()) return;
  const std::string text = first->substr(1);
  const bool all = std::all_of(errors.begin(), errors.end(), failed);
  if (all) throw AgreedError(text);
  throw AgreedError(fmt::format(
      "rank {}: {}", communicator.job_rank(static_cast<int>(first - errors.begin())), text));
}

void require_same(Communicator& communicator,
                  const std::vector<std::pair<std::string, std::string>>& facts) {
  for (const auto& [what, value] : facts) {
    const std::vector<std::string> values = communicator.all_gather(value);
    for (std::size_t rank = 1; rank < values.size(); ++rank) {
      if (values[rank] == values[0]) continue;
      throw AgreedError(fmt::format(
          "ranks disagree about {}: rank 0 has '{}', rank {} has '{}'. All ranks must run the same "
          "program on the same files and keys",
          what, differing_line(values[0], values[rank]),
          communicator.job_rank(static_cast<int>(rank)), differing_line(values[rank], values[0])));
    }
  }
}

}  // namespace lockstep
