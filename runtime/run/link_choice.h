// How ranks that compute on GPUs exchange: by NCCL from GPU to GPU, or over the host.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/communication/communicator.h"
#include "runtime/communication/nccl_library.h"
#include "runtime/config/config.h"

namespace lockstep {

struct LinkChoice {
  std::shared_ptr<DeviceLink> link;  // null: over the host
  // For the line about the device: "NCCL 2.28.9 between GPUs; ", or "exchange over the host, ..."
  // and why; empty for one rank.
  std::string text;
};

// A collective of all ranks, each of which has chosen its GPU: NCCL where all can have it and
// run.transport is "auto", else the host, with the reason in its text. Versions that differ between
// ranks are an AgreedError. `shared`: some ranks compute on one GPU, which NCCL refuses unless it
// is told that they sit on different hosts (NCCL_HOSTID).
LinkChoice choose_link(const RunConfig& run, Communicator& communicator, bool shared,
                       const std::function<LoadedNcclLibrary()>& load);

}  // namespace lockstep
