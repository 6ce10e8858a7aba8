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

// A collective of all ranks, each of which has chosen its GPU. run.gpu_exchange "auto" takes NCCL
// where all can have it, and else the host with the reason in its text; "nccl" throws AgreedError
// with that reason. Versions that differ between ranks are an error in any case. `shared`: some
// ranks compute on one GPU, which NCCL refuses.
LinkChoice choose_link(const RunConfig& run, Communicator& communicator, bool shared,
                       const std::function<LoadedNcclLibrary()>& load);

}  // namespace lockstep
