// Another library's convolution or linear layer beside ours in `lockstep bench ops`. The build
// picks bench_peer_onednn.cc where it found oneDNN, else bench_peer_none.cc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/cases/op_case.h"

namespace lockstep {

std::string peer_name();  // "oneDNN 2.6.3", or "" where there is none

struct PeerRun {
  std::string layout;         // "nhwc", or "best": what the peer likes most
  std::function<void()> run;  // once, on one thread, weights already in the order it wants
};

// Empty where there is no peer for this shape.
std::vector<PeerRun> peer_runs(const cases::PeerShape& shape);

}  // namespace lockstep
