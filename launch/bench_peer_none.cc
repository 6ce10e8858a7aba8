// A build without a peer library: `lockstep bench ops` prints our figures alone.
#include "launch/bench_peer.h"

namespace lockstep {

std::string peer_name() {
  return "";
}

std::vector<PeerRun> peer_runs(const cases::PeerShape&) {
  return {};
}

}  // namespace lockstep
