#include "io/hdf5/format_bytes.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace lockstep::hdf5 {

namespace {

constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
constexpr std::size_t kSumBytes = 4;
// An honest file needs less than two readings: some blocks are read for their size first.
constexpr std::uint64_t kMostReadings = 4, kSmallFile = 65536;

struct Words {
  std::uint32_t a, b, c;
};

void mix(Words& w) {
  w.a -= w.c, w.a ^= std::rotl(w.c, 4), w.c += w.b;
  w.b -= w.a, w.b ^= std::rotl(w.a, 6), w.a += w.c;
  w.c -= w.b, w.c ^= std::rotl(w.b, 8), w.b += w.a;
  w.a -= w.c, w.a ^= std::rotl(w.c, 16), w.c += w.b;
  w.b -= w.a, w.b ^= std::rotl(w.a, 19), w.a += w.c;
  w.c -= w.b, w.c ^= std::rotl(w.b, 4), w.b += w.a;
}

void mix_last(Words& w) {
  w.c ^= w.b, w.c -= std::rotl(w.b, 14);
  w.a ^= w.c, w.a -= std::rotl(w.c, 11);
  w.b ^= w.a, w.b -= std::rotl(w.a, 25);
  w.c ^= w.b, w.c -= std::rotl(w.b, 16);
  w.a ^= w.c, w.a -= std::rotl(w.c, 4);
  w.b ^= w.a, w.b -= std::rotl(w.a, 14);
  w.c ^= w.b, w.c -= std::rotl(w.b, 24);
}

std::uint32_t word_at(std::span<const std::byte> bytes, std::size_t place) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 4 && place + i < bytes.size(); ++i)
    word |= std::to_integer<std::uint32_t>(bytes[place + i]) << (8 * i);
  return word;
}

}  // namespace

std::uint32_t metadata_checksum(std::span<const std::byte> bytes) {
  const std::uint32_t start = 0xdeadbeef + static_cast<std::uint32_t>(bytes.size());
  Words words{start, start, start};
  if (bytes.empty()) return words.c;
  std::size_t place = 0;
  for (;; place += 12) {  // the last 1 to 12 bytes are mixed in another way
    words.a += word_at(bytes, place);
    words.b += word_at(bytes, place + 4);
    words.c += word_at(bytes, place + 8);
    if (bytes.size() - place <= 12) break;
    mix(words);
  }
  mix_last(words);
  return words.c;
}

unsigned bytes_for(std::uint64_t limit) {
  return limit == 0 ? 1 : (static_cast<unsigned>(std::bit_width(limit)) - 1) / 8 + 1;
}

std::uint64_t Block::number(unsigned width) {
  std::uint64_t value = 0;
  const std::span<const std::byte> bytes = take(width);
  for (unsigned i = 0; i < width; ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return value;
}

std::span<const std::byte> Block::take(std::size_t count) {
  if (count > left()) fail(fmt::format("it ends {} bytes too early", count - left()));
  place_ += count;
  return std::span(bytes_).subspan(place_ - count, count);
}

void Block::check_sum() const {
  if (bytes_.size() < kSumBytes) fail("it is too small for its checksum");
  const std::span<const std::byte> covered = std::span(bytes_).first(bytes_.size() - kSumBytes);
  const std::uint32_t stored = word_at(bytes_, bytes_.size() - kSumBytes);
  if (metadata_checksum(covered) != stored)
    fail("its checksum is wrong, the file is damaged: copy or write it again");
}

void Block::fail(const std::string& reason) const {
  throw Error("{}: {}", where_, reason);
}

FormatBytes::FormatBytes(const ByteSource& source, std::string where)
    : source_(source), where_(std::move(where)) {
  constexpr std::uint64_t kHead = 16;
  for (std::uint64_t place = 0; source.size() >= kHead && place <= source.size() - kHead;
       place = place == 0 ? 512 : 2 * place) {
    std::vector<std::byte> bytes(kHead);
    source.read_at(place, bytes);
    if (std::memcmp(bytes.data(), kSignature.data(), kSignature.size()) != 0) continue;
    base_ = place;
    Block head(std::move(bytes), fmt::format("{}: superblock at address {}", where_, place));
    head.take(kSignature.size());
    const std::uint8_t version = head.u8();
    if (version > 3) head.fail(fmt::format("version {} is not known", version));
    if (version < 2) head.take(4);
    offset_bytes_ = head.u8();
    length_bytes_ = head.u8();
    for (unsigned width : {offset_bytes_, length_bytes_})
      if (width != 2 && width != 4 && width != 8)
        head.fail(fmt::format("addresses or lengths of {} bytes are not known", width));
    return;
  }
  fail("there is no HDF5 superblock");
}

std::uint64_t FormatBytes::address(Block& block) const {
  const std::uint64_t value = block.number(offset_bytes_);
  const std::uint64_t undefined = ~std::uint64_t{0} >> (64 - 8 * offset_bytes_);
  return value == undefined ? Chunk::kUnwritten : value;
}

bool FormatBytes::holds(std::uint64_t address, std::uint64_t bytes) const {
  return bytes <= size() && address <= size() - bytes;
}

Block FormatBytes::read(std::uint64_t address, std::uint64_t bytes, std::string_view name) const {
  const std::string where = fmt::format("{}: {} at address {}", where_, name, address);
  if (address == Chunk::kUnwritten) throw Error("{}: {} is missing", where_, name);
  if (!holds(address, bytes))
    throw Error(
        "{}: {} bytes from there are not in the file, which has {}; it is truncated or damaged",
        where, bytes, size());
  bytes_read_ += bytes;
  if (bytes_read_ / kMostReadings > source_.size() + kSmallFile)
    throw Error("{}: the blocks of the chunk index overlap; the file is damaged", where);
  std::vector<std::byte> block(bytes);
  source_.read_at(base_ + address, block);
  return Block(std::move(block), where);
}

Block FormatBytes::read_checked(std::uint64_t address, std::uint64_t bytes,
                                std::string_view signature, std::string_view name) const {
  Block block = read(address, bytes, name);
  const std::span<const std::byte> found = block.take(signature.size());
  if (std::memcmp(found.data(), signature.data(), signature.size()) != 0)
    block.fail(fmt::format("it does not begin with {}; the file is damaged", signature));
  block.check_sum();
  return block;
}

void FormatBytes::fail(const std::string& reason) const {
  throw Error("{}: {}", where_, reason);
}

}  // namespace lockstep::hdf5
