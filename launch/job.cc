#include "launch/job.h"

#include <cstdio>

#include "runtime/communication/agreement.h"
#include "runtime/step/team.h"

namespace lockstep {

int run_job(const std::function<Config()>& configure,
            const std::function<int(const Config&, Communicator&)>& command) {
  World world(nullptr, nullptr);
  const auto described = [&](const char* text) {
    return world.size() == 1 ? fmt::format("lockstep: {}", text)
                             : fmt::format("lockstep: rank {}: {}", world.rank(), text);
  };
  std::unique_ptr<Communicator> communicator;
  try {
    communicator = world.make_communicator({Transport::kMessages});
    Config config;
    together(*communicator, [&] { config = configure(); });
    require_same(*communicator, {{"run.transport", std::string(name_of(config.run.transport))}});
    if (config.run.transport == TransportChoice::kAuto)
      communicator =
          world.make_communicator({Transport::kAuto, static_cast<int>(config.run.ranks_per_node)});
    return command(config, *communicator);
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
