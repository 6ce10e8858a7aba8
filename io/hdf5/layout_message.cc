#include "io/hdf5/layout_message.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

namespace lockstep::hdf5 {

namespace {

constexpr std::uint16_t kLayout = 0x0008, kContinuation = 0x0010;  // message types
constexpr std::uint8_t kShared = 0x02;                             // message flag
constexpr std::size_t kMostBlocks = 4096;                          // of one object header
constexpr std::uint8_t kChunked = 2;                               // layout class
constexpr std::uint8_t kSingleFiltered = 0x02;                     // layout flag
constexpr std::size_t kMostAxes = 33;  // of the library, 32, and the bytes of an element

// Versions 1 and 2 differ from 3 in where the class and the address stand.
LayoutMessage parse_old(const FormatBytes& file, Block& message, std::uint8_t version) {
  LayoutMessage layout;
  std::uint8_t axes = 0, layout_class = 0;
  if (version < 3) {
    axes = message.u8();
    layout_class = message.u8();
    message.take(5);
  } else {
    layout_class = message.u8();
  }
  message.expect(layout_class, kChunked, "layout class");
  if (version == 3) axes = message.u8();
  if (axes < 2 || axes > kMostAxes) message.fail(fmt::format("{} axes cannot be", axes));
  layout.address = file.address(message);
  for (int axis = 0; axis < axes; ++axis) layout.chunk.push_back(message.u32());
  return layout;
}

LayoutMessage parse_version_4(const FormatBytes& file, Block& message) {
  LayoutMessage layout;
  message.expect(message.u8(), kChunked, "layout class");
  const std::uint8_t flags = message.u8();
  const std::uint8_t axes = message.u8();
  if (axes < 2 || axes > kMostAxes) message.fail(fmt::format("{} axes cannot be", axes));
  const std::uint8_t width = message.u8();
  if (width < 1 || width > 8) message.fail(fmt::format("sizes of {} bytes cannot be", width));
  for (int axis = 0; axis < axes; ++axis) layout.chunk.push_back(message.number(width));
  const std::uint8_t kind = message.u8();
  layout.kind = static_cast<ChunkIndexKind>(kind);
  switch (layout.kind) {  // creation parameters, which the index repeats
    case ChunkIndexKind::kSingle:
      if ((flags & kSingleFiltered) == 0) break;
      layout.single_bytes = message.number(file.length_bytes());
      layout.single_mask = message.u32();
      break;
    case ChunkIndexKind::kImplicit:
      break;
    case ChunkIndexKind::kFixedArray:
      message.take(1);
      break;
    case ChunkIndexKind::kExtensibleArray:
      message.take(5);
      break;
    case ChunkIndexKind::kBtree2:
      message.take(6);
      break;
    default:
      message.fail(fmt::format("chunk index {} is not known", kind));
  }
  layout.address = file.address(message);
  return layout;
}

LayoutMessage parse_layout(const FormatBytes& file, Block& message) {
  const std::uint8_t version = message.u8();
  if (version >= 1 && version <= 3) return parse_old(file, message, version);
  if (version == 4) return parse_version_4(file, message);
  message.fail(fmt::format("version {} of the data layout is not known", version));
}

// Goes through the blocks of an object header until the layout message is met.
class HeaderWalk {
 public:
  HeaderWalk(const FormatBytes& file, std::uint64_t address) : file_(file), address_(address) {}

  LayoutMessage find() {
    Block start = file_.read(address_, 4, kName);
    const bool newer = std::memcmp(start.take(4).data(), "OHDR", 4) == 0;
    if (newer)
      start_version_2();
    else
      start_version_1();
    for (std::size_t i = 0; i < continuations_.size(); ++i) {  // it grows
      if (layout_) return *layout_;
      const Continuation next = continuations_[i];
      if (newer) {
        Block block = file_.read_checked(next.address, next.bytes, "OCHK", kName);
        messages_version_2(block);
      } else {
        Block block = file_.read(next.address, next.bytes, kName);
        messages_version_1(block);
      }
    }
    if (!layout_) file_.fail("its object header has no data layout; the file is damaged");
    return *layout_;
  }

 private:
  static constexpr std::string_view kName = "object header";
  struct Continuation {
    std::uint64_t address, bytes;
  };

  void start_version_1() {
    Block head = file_.read(address_, 16, kName);
    head.expect(head.u8(), 1, "version");
    head.take(7);  // reserved, number of messages, references
    const std::uint32_t bytes = head.u32();
    Block block = file_.read(address_ + 16, bytes, kName);
    messages_version_1(block);
  }

  void messages_version_1(Block& block) {
    constexpr std::size_t kHead = 8;
    while (block.left() >= kHead && !layout_) {
      const std::uint16_t type = block.u16();
      const std::uint16_t bytes = block.u16();
      const std::uint8_t flags = block.u8();
      block.take(3);
      take_message(block, type, bytes, flags);
    }
  }

  void start_version_2() {
    Block head = file_.read(address_, 6, kName);
    head.take(4);
    head.expect(head.u8(), 2, "version");
    const std::uint8_t flags = head.u8();
    const unsigned width = 1U << (flags & 3U);
    std::uint64_t before = 6;                // of the size of the first block
    if ((flags & 0x20U) != 0) before += 16;  // times
    if ((flags & 0x10U) != 0) before += 4;   // limits of compact attribute storage
    tracks_order_ = (flags & 0x04U) != 0;
    Block size = file_.read(address_ + before, width, kName);
    const std::uint64_t bytes = size.number(width);
    before += width;
    if (bytes > file_.size())
      size.fail(fmt::format("its size, {}, is larger than the file", bytes));
    Block block = file_.read_checked(address_, before + bytes + 4, "OHDR", kName);
    block.take(before - 4);
    messages_version_2(block);
  }

  void messages_version_2(Block& block) {
    const std::size_t head = tracks_order_ ? 6 : 4;
    while (block.left() >= head + 4 && !layout_) {  // a checksum follows
      const std::uint8_t type = block.u8();
      const std::uint16_t bytes = block.u16();
      const std::uint8_t flags = block.u8();
      if (tracks_order_) block.take(2);
      take_message(block, type, bytes, flags);
    }
  }

  void take_message(Block& block, std::uint16_t type, std::uint16_t bytes, std::uint8_t flags) {
    const std::span<const std::byte> data = block.take(bytes);
    if (type != kLayout && type != kContinuation) return;
    if ((flags & kShared) != 0) block.fail("a shared data layout is not known");
    Block message({data.begin(), data.end()}, block.where());
    if (type == kLayout) {
      layout_ = parse_layout(file_, message);
      return;
    }
    if (continuations_.size() == kMostBlocks) block.fail("it has too many parts");
    const std::uint64_t address = file_.address(message);
    continuations_.push_back({address, message.number(file_.length_bytes())});
  }

  const FormatBytes& file_;
  const std::uint64_t address_;
  bool tracks_order_ = false;
  std::vector<Continuation> continuations_;
  std::optional<LayoutMessage> layout_;
};

}  // namespace

LayoutMessage read_layout_message(const FormatBytes& file, std::uint64_t object_header) {
  return HeaderWalk(file, object_header).find();
}

}  // namespace lockstep::hdf5
