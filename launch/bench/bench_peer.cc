// Loads the peer's plug-in. It stays loaded: its primitives live as long as the benchmark.
#include "launch/bench/bench_peer.h"

#include <dlfcn.h>

#include "launch/installation.h"

namespace lockstep {

Peer load_peer() {
  const std::string path = plugin_file(kPeerFile);
  Peer peer;
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const entry = library != nullptr ? dlsym(library, kPeerEntry) : nullptr;
  if (entry != nullptr)
    reinterpret_cast<PeerEntry>(entry)(peer);
  else
    peer.why_not = dlerror();
  return peer;
}

}  // namespace lockstep
