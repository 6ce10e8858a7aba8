// Ranks as threads, each with an emulated GPU of its own, linked by NCCL's twin.
#pragma once

#include <functional>
#include <memory>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/libraries.h"
#include "runtime/communication/nccl/nccl_link.h"
#include "tests/emulation/streams.h"
#include "tests/runtime/rank_threads.h"

namespace lockstep::emulation {

inline std::unique_ptr<Backend> make_emulated_gpu() {
  return make_cuda_backend({0, "emulated GPU", 9, 0},
                           gpu::make_libraries(gpu::Float32Products::kStrict));
}

inline std::string make_nccl_id() {
  nccl::Id id;
  nccl::make_id(id);
  return {id.data(), id.size()};
}

struct EmulatedRank {
  int rank, ranks;
  Communicator& communicator;
  Backend& gpu;
  std::shared_ptr<DeviceLink> link;
};

inline void on_emulated_ranks(int ranks, double patience_seconds,
                              const std::function<void(const EmulatedRank&)>& work) {
  const std::string id = make_nccl_id();
  testing::on_ranks(ranks, [&](Communicator& communicator) {
    take_own_gpu();
    const auto gpu = make_emulated_gpu();
    const auto link =
        std::make_shared<NcclLink>(NcclOptions{communicator.rank(), ranks, id, patience_seconds});
    work({communicator.rank(), ranks, communicator, *gpu, link});
    communicator.barrier();
  });
}

}  // namespace lockstep::emulation
