#include "io/hdf5/chunk_filters.h"

#include <libdeflate.h>

#include <algorithm>
#include <cstring>

#include "kernels/core/error.h"

namespace lockstep::hdf5 {

namespace {

constexpr int kDeflate = 1, kShuffle = 2, kFletcher32 = 3;  // identifiers of the HDF5 Group
constexpr std::size_t kSumBytes = 4;

[[noreturn]] void damaged(const FilterPipeline::Where& where, const std::string& reason) {
  throw Error("{}: {}; the file is damaged: copy or write it again", where(), reason);
}

std::uint32_t swap_in_halves(std::uint32_t sum) {
  return ((sum & 0x00FF00FFU) << 8) | ((sum & 0xFF00FF00U) >> 8);
}

std::span<const std::byte> without_sum(std::span<const std::byte> bytes,
                                       const FilterPipeline::Where& where) {
  if (bytes.size() < kSumBytes) damaged(where, "it is too small for its checksum");
  const std::span<const std::byte> data = bytes.first(bytes.size() - kSumBytes);
  std::uint32_t stored = 0;
  for (std::size_t i = 0; i < kSumBytes; ++i)
    stored |= std::to_integer<std::uint32_t>(bytes[data.size() + i]) << (8 * i);
  const std::uint32_t sum = fletcher32(data);
  // Releases up to 1.6.2 swapped the bytes of both halves on little-endian machines.
  if (stored != sum && stored != swap_in_halves(sum)) damaged(where, "its checksum is wrong");
  return data;
}

template <std::size_t kWidth>
void unshuffle_fixed(const std::byte* from, std::size_t count, std::byte* to) {
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t b = 0; b < kWidth; ++b) to[i * kWidth + b] = from[b * count + i];
}

}  // namespace

libdeflate_decompressor* FilterScratch::decompressor() {
  if (!decompressor_) decompressor_.reset(libdeflate_alloc_decompressor());
  if (!decompressor_) throw std::bad_alloc();
  return decompressor_.get();
}

void FilterScratch::Free::operator()(libdeflate_decompressor* decompressor) const {
  libdeflate_free_decompressor(decompressor);
}

std::uint32_t fletcher32(std::span<const std::byte> bytes) {
  constexpr std::size_t kBlock = 360;  // words whose sums fit in 32 bits
  std::uint32_t sum1 = 0, sum2 = 0;
  const auto fold = [](std::uint32_t sum) { return (sum & 0xFFFFU) + (sum >> 16); };
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  const std::size_t words = bytes.size() / 2;
  for (std::size_t begin = 0; begin < words; begin += kBlock) {
    const std::size_t end = std::min(words, begin + kBlock);
    for (std::size_t word = begin; word < end; ++word) {
      sum1 += (byte(2 * word) << 8) | byte(2 * word + 1);
      sum2 += sum1;
    }
    sum1 = fold(sum1), sum2 = fold(sum2);
  }
  if (bytes.size() % 2 != 0) {
    sum1 += byte(bytes.size() - 1) << 8;
    sum2 += sum1;
    sum1 = fold(sum1), sum2 = fold(sum2);
  }
  sum1 = fold(sum1), sum2 = fold(sum2);
  return (sum2 << 16) | sum1;
}

void unshuffle(std::span<const std::byte> from, std::size_t width, std::span<std::byte> to) {
  const std::size_t count = from.size() / width;
  switch (width) {
    case 2:
      unshuffle_fixed<2>(from.data(), count, to.data());
      break;
    case 4:
      unshuffle_fixed<4>(from.data(), count, to.data());
      break;
    case 8:
      unshuffle_fixed<8>(from.data(), count, to.data());
      break;
    default:
      for (std::size_t i = 0; i < count; ++i)
        for (std::size_t b = 0; b < width; ++b) to[i * width + b] = from[b * count + i];
  }
  std::copy(from.begin() + static_cast<std::ptrdiff_t>(count * width), from.end(),
            to.begin() + static_cast<std::ptrdiff_t>(count * width));
}

FilterPipeline::FilterPipeline(std::vector<Filter> filters, std::uint64_t chunk_bytes)
    : filters_(std::move(filters)), chunk_bytes_(chunk_bytes) {}

std::optional<std::string> FilterPipeline::unknown() const {
  bool deflated = false;
  for (const Filter& filter : filters_) {
    const bool width_known = !filter.values.empty() && filter.values.front() > 0;
    const bool known = (filter.id == kDeflate && !deflated) ||  // of a second the size is unknown
                       (filter.id == kShuffle && width_known) || filter.id == kFletcher32;
    if (!known) return filter.name;
    deflated |= filter.id == kDeflate;
  }
  return std::nullopt;
}

void FilterPipeline::undo(std::span<const std::byte> stored, std::uint32_t mask, const Where& where,
                          FilterScratch& scratch, std::span<std::byte> chunk) const {
  const auto applied = [&](std::size_t i) { return i >= 32 || ((mask >> i) & 1U) == 0; };
  std::size_t steps = 0;  // that write a buffer: the last of them writes `chunk`
  for (std::size_t i = 0; i < filters_.size(); ++i)
    steps += applied(i) && filters_[i].id != kFletcher32;
  std::span<const std::byte> bytes = stored;
  for (std::size_t i = filters_.size(); i-- > 0;) {
    if (!applied(i)) continue;
    if (filters_[i].id == kFletcher32) {
      bytes = without_sum(bytes, where);
      continue;
    }
    std::size_t size = bytes.size();
    if (filters_[i].id == kDeflate) {  // what filters before it made of the chunk
      size = chunk_bytes_;
      for (std::size_t before = 0; before < i; ++before)
        if (applied(before) && filters_[before].id == kFletcher32) size += kSumBytes;
    }
    std::vector<std::byte>& buffer = steps % 2 == 0 ? scratch.first : scratch.second;
    std::span<std::byte> out = chunk;
    if (--steps > 0 || size != chunk.size()) {
      buffer.resize(size);
      out = buffer;
    }
    if (filters_[i].id == kShuffle) {
      unshuffle(bytes, filters_[i].values.front(), out);
    } else {
      const libdeflate_result result = libdeflate_zlib_decompress(
          scratch.decompressor(), bytes.data(), bytes.size(), out.data(), out.size(), nullptr);
      if (result == LIBDEFLATE_SHORT_OUTPUT || result == LIBDEFLATE_INSUFFICIENT_SPACE)
        damaged(where, fmt::format("it does not inflate to {} bytes", out.size()));
      if (result != LIBDEFLATE_SUCCESS) damaged(where, "its deflate data cannot be inflated");
    }
    bytes = out;
  }
  if (bytes.size() != chunk.size())
    damaged(where, fmt::format("it holds {} bytes instead of {}", bytes.size(), chunk.size()));
  if (bytes.data() != chunk.data()) std::copy(bytes.begin(), bytes.end(), chunk.begin());
}

}  // namespace lockstep::hdf5
