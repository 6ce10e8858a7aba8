#include "launch/job.h"

#include <cstdio>

#include "runtime/communication/agreement.h"
#include "runtime/step/team.h"

namespace lockstep {

int run_job(const std::function<Config()>& configure,
            const std::function<int(const Config&, Communicator&, RankLog&)>& command,
            const std::string& log) {
  World world(nullptr, nullptr);
  RankLog rank_log;
  const auto described = [&](const char* text) {
    rank_log.error(text);
    return world.size() == 1 ? fmt::format("lockstep: {}", text)
                             : fmt::format("lockstep: rank {}: {}", world.rank(), text);
  };
  std::unique_ptr<Communicator> communicator;
  try {
    communicator = world.make_communicator({Transport::kMessages});
    Config config;
    together(*communicator, [&] {
      if (!log.empty()) rank_log = RankLog(log, world.rank(), world.size());
      config = configure();
    });
    require_same(*communicator, {{"run.transport", std::string(name_of(config.run.transport))}});
    if (config.run.transport == TransportChoice::kAuto)
      communicator =
          world.make_communicator({Transport::kAuto, static_cast<int>(config.run.ranks_per_node)});
    return command(config, *communicator, rank_log);
  } catch (const AgreedError& error) {  // every rank has it: one prints, all end
    rank_log.error(error.what());
    if (world.rank() == 0) fmt::print(stderr, "lockstep: {}\n", error.what());
    return kExitError;
  } catch (const AnnouncedError& error) {
    world.abort(described(error.what()), kExitError);
  } catch (const PeerFailed&) {
    rank_log.error("another rank failed first");
    world.abort("", kExitError);
  } catch (const std::exception& error) {
    const std::string message = described(error.what());
    const bool first = !communicator || communicator->announce_failure();
    world.abort(first ? message : "", kExitError);
  }
}

int run_job(const std::function<Config()>& configure,
            const std::function<int(const Config&, Communicator&)>& command) {
  return run_job(configure, [&](const Config& config, Communicator& communicator, RankLog&) {
    return command(config, communicator);
  });
}

}  // namespace lockstep
