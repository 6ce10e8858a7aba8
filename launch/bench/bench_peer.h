// Another library's convolutions and linear layers beside ours in `lockstep bench ops`. oneDNN is
// the peer, in a plug-in of its own (bench_peer_onednn.cc): the executable neither links nor needs
// it, and a build that did not find oneDNN has no such file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/cases/op_case.h"

namespace lockstep {

struct PeerRun {
  std::string layout;         // "nhwc", or "best": what the peer likes most
  std::function<void()> run;  // once, on one thread, weights already in the order it wants
};

struct Peer {
  std::string name;     // "oneDNN 2.6.3"; empty: there is none
  std::string why_not;  // what the loader said then
  // Empty where the peer has nothing for the shape.
  std::vector<PeerRun> (*runs)(const cases::PeerShape& shape) = nullptr;
};

// The plug-in that comes with the executable.
Peer load_peer();

// What the plug-in offers under this name.
using PeerEntry = void (*)(Peer& peer);
inline constexpr const char* kPeerEntry = "lockstep_bench_peer";
inline constexpr const char* kPeerFile = "liblockstep_bench_onednn.so";

}  // namespace lockstep
