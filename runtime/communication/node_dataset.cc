#include "runtime/communication/node_dataset.h"

#include "runtime/communication/agreement.h"

namespace lockstep {

NodeDataset open_on_node(const DataSource& source, Communicator& communicator,
                         std::size_t memory_limit, int threads) {
  std::shared_ptr<const Dataset> on_disk;
  together(communicator, [&] { on_disk = Dataset::open(source); });
  const std::size_t bytes = resident_bytes(*on_disk);
  const auto mib = static_cast<double>(bytes) / (1 << 20);
  if (bytes > memory_limit)
    return {on_disk, false, fmt::format("{:.1f} MiB, {}", mib, on_disk->access())};

  const NodeMemory memory = communicator.node_memory(bytes);
  together(communicator, [&] {
    if (memory.fill_here) fill_resident(*on_disk, memory.bytes, threads);
  });
  return {resident_dataset(*on_disk, memory.bytes, memory.owner), true,
          fmt::format("{:.1f} MiB, read once into memory", mib)};
}

}  // namespace lockstep
