#include "launch/job.h"

#include <cstdio>

#include "runtime/communication/agreement.h"
#include "runtime/step/team.h"

namespace lockstep {

int run_job(Transport transport, const std::function<int(Communicator&)>& command) {
  World world(nullptr, nullptr);
  const auto described = [&](const char* text) {
    return world.size() == 1 ? fmt::format("lockstep: {}", text)
                             : fmt::format("lockstep: rank {}: {}", world.rank(), text);
  };
  std::unique_ptr<Communicator> communicator;
  try {
    communicator = world.make_communicator(transport);
    return command(*communicator);
  } catch (const AgreedError& error) {  // every rank has it: one prints, all end
    if (world.rank() == 0) fmt::print(stderr, "lockstep: {}\n", error.what());
    return kExitError;
  } catch (const AnnouncedError& error) {
    world.abort(described(error.what()), kExitError);
  } catch (const PeerFailed&) {
    world.abort("", kExitError);
  } catch (const std::exception& error) {
    const bool first = !communicator || communicator->announce_failure();
    world.abort(first ? described(error.what()) : "", kExitError);
  }
}

}  // namespace lockstep
