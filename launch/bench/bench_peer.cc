#include "launch/bench/bench_peer.h"

#include "kernels/core/plugin.h"

namespace lockstep {

Peer load_peer() {
  const PluginSymbol symbol = load_plugin(plugin_places(kPeerFile), kPeerEntry);
  Peer peer;
  if (symbol.address != nullptr)
    reinterpret_cast<PeerEntry>(symbol.address)(peer);
  else
    peer.why_not = symbol.why_not;
  return peer;
}

}  // namespace lockstep
