// Fuzz target: checkpoints. No fuzzer guesses a checksum, so an input is read twice: as it is, and
// with the checksums that its frames call for, which lets changes reach what stands behind them.
#include "io/formats/checkpoint.h"

#include <cstring>
#include <vector>

#include "io/base/checksum.h"
#include "tests/fuzz/fuzz.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

template <typename T>
bool get(const Bytes& bytes, std::size_t place, T& value) {
  if (place > bytes.size() || bytes.size() - place < sizeof value) return false;
  std::memcpy(&value, bytes.data() + place, sizeof value);
  return true;
}

// Puts the checksum of [begin, begin + size) behind it, at the next multiple of 8; the place after
// that, or 0 where the file ends before.
std::size_t mend(Bytes& bytes, std::size_t begin, std::uint64_t size) {
  if (begin > bytes.size() || size > bytes.size() - begin) return 0;
  const std::size_t end = begin + (static_cast<std::size_t>(size) + 7) / 8 * 8;
  if (end > bytes.size() || bytes.size() - end < 8) return 0;
  const std::uint64_t sum =
      lockstep::checksum(bytes.data() + begin, static_cast<std::size_t>(size));
  std::memcpy(bytes.data() + end, &sum, sizeof sum);
  return end + 8;
}

// The frames as io/formats/checkpoint.h lays them out; sizes of types by their codes.
Bytes with_checksums(Bytes bytes) {
  constexpr std::size_t kHeader = 40, kSum = 8;
  constexpr std::uint64_t kBytesOfType[] = {0, 4, 2, 1, 8, 8};
  std::uint32_t tensors = 0;
  std::uint64_t state = 0;
  if (!get(bytes, 12, tensors) || !get(bytes, 24, state) || bytes.size() < kHeader) return bytes;
  const std::uint64_t file_bytes = bytes.size();
  std::memcpy(bytes.data() + 16, &file_bytes, sizeof file_bytes);
  const std::uint64_t header_sum = lockstep::checksum(bytes.data(), kHeader - kSum);
  std::memcpy(bytes.data() + kHeader - kSum, &header_sum, kSum);
  std::size_t place = mend(bytes, kHeader, state);
  for (std::uint32_t i = 0; i < tensors && place != 0; ++i) {
    std::uint32_t name = 0;
    std::uint8_t type = 0, axes = 0;
    if (!get(bytes, place, name) || !get(bytes, place + 4, type) || !get(bytes, place + 5, axes))
      return bytes;
    std::uint64_t values = type < 6 ? kBytesOfType[type] : 0;
    for (std::size_t axis = 0; axis < axes; ++axis) {
      std::uint64_t size = 0;
      if (!get(bytes, place + 8 + 8 * axis, size)) return bytes;
      values *= size;
    }
    // The name's padding belongs to what the frame's checksum covers.
    const std::uint64_t frame = 8 + 8 * std::uint64_t{axes} + (std::uint64_t{name} + 7) / 8 * 8;
    place = mend(bytes, place, frame);
    if (place != 0) place = mend(bytes, place, values);
  }
  if (place != 0 && place + kSum == bytes.size()) {
    const std::uint64_t sum = lockstep::checksum(bytes.data(), place);
    std::memcpy(bytes.data() + place, &sum, sizeof sum);
  }
  return bytes;
}

bool reads(const Bytes& bytes) {
  const lockstep::fuzz::MemoryFile file(bytes);
  return lockstep::fuzz::accepted([&] {
    const lockstep::Checkpoint checkpoint = lockstep::read_checkpoint(file.path());
    for (const auto& [name, tensor] : checkpoint.tensors) {
      if (tensor.bytes() > bytes.size()) lockstep::fuzz::finding("values beyond the file");
    }
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, data + size);
  const Bytes mended = with_checksums(bytes);
  if (reads(bytes) && mended != bytes) lockstep::fuzz::finding("a wrong checksum was accepted");
  reads(mended);
  return 0;
}
