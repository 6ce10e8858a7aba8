#include "runtime/run/link_choice.h"

#include <algorithm>
#include <cstdlib>

#include "runtime/communication/agreement.h"

namespace lockstep {

namespace {

// Where each rank sets another, NCCL takes ranks of one GPU for ranks of several hosts, and links
// them: slow, but right.
constexpr const char* kHostNames = "NCCL_HOSTID";

struct Sight {
  NcclLibrary* library = nullptr;
  std::string version;
  std::string why_not;  // one line, where library is null
};

Sight look(const std::function<LoadedNcclLibrary()>& load) {
  const LoadedNcclLibrary loaded = load();
  if (loaded.library == nullptr) return {nullptr, "", loaded.why_not};
  return {loaded.library, loaded.library->version(), ""};
}

// The same on all ranks: why NCCL cannot be had, or "". Throws AgreedError where versions differ.
std::string common_reason(Communicator& communicator, const Sight& sight) {
  const std::vector<std::string> versions = communicator.all_gather(sight.version);
  std::vector<std::string> reasons = communicator.all_gather(sight.why_not);
  const auto name = [&](auto rank) { return communicator.job_rank(static_cast<int>(rank)); };
  const auto lacking = std::ranges::find(versions, "");
  if (lacking != versions.end()) {
    const auto rank = lacking - versions.begin();
    std::string& reason = reasons[static_cast<std::size_t>(rank)];
    std::ranges::replace(reason, '\n', ' ');
    const bool everywhere = std::ranges::count(reasons, reason) == std::ssize(reasons);
    return everywhere ? reason : fmt::format("rank {}: {}", name(rank), reason);
  }
  for (std::size_t rank = 1; rank < versions.size(); ++rank)
    if (versions[rank] != versions[0])
      throw AgreedError(fmt::format(
          "rank {} has NCCL {}, rank {} has NCCL {}, and they cannot talk to each other: give all "
          "nodes one version, or exchange over the host with run.transport = \"messages\"",
          name(0), versions[0], name(rank), versions[rank]));
  return "";
}

}  // namespace

LinkChoice choose_link(const RunConfig& run, Communicator& communicator, bool shared,
                       const std::function<LoadedNcclLibrary()>& load) {
  LinkChoice choice;
  if (communicator.size() == 1) return choice;
  if (run.transport == TransportChoice::kMessages) {
    choice.text = "exchange over the host (as configured); ";
    return choice;
  }
  const Sight sight = look(load);
  std::string why_not = common_reason(communicator, sight);
  if (shared && std::getenv(kHostNames) == nullptr)
    why_not = "more ranks than GPUs, and it wants one for each";
  if (why_not.empty()) {
    try {
      std::string id;
      together(communicator, [&] {
        if (communicator.rank() == 0) id = sight.library->make_id();
      });
      id = communicator.broadcast(std::move(id), 0);
      together(communicator, [&] {
        choice.link = sight.library->make_link(
            {communicator.rank(), communicator.size(), id, run.patience_seconds});
      });
      choice.text = choice.link->description() + " between GPUs; ";
      return choice;
    } catch (const AgreedError& error) {
      choice.link.reset();
      why_not = error.what();
    }
  }
  choice.text = fmt::format("exchange over the host, no NCCL: {}; ", why_not);
  return choice;
}

}  // namespace lockstep
