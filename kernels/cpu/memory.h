// Host memory for tensors and workspaces: 256-byte aligned, in huge pages where it is large.
#pragma once

#include <cstddef>
#include <memory>

namespace lockstep {

std::shared_ptr<std::byte> allocate_host(std::size_t bytes);  // not initialised; throws Error

}  // namespace lockstep
