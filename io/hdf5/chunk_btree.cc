// Chunk indexes that are trees. Version 1 (the form before HDF5 1.10, and of h5py's default) has no
// checksums; version 2 serves datasets with several axes that may grow without a limit.
#include <vector>

#include "io/hdf5/chunk_table.h"
#include "io/hdf5/saturating.h"

namespace lockstep::hdf5 {

namespace {

constexpr std::size_t kMostDepth = 64;

// A level and an address to read, on an explicit stack: the depth is the file's word alone.
struct Node1 {
  std::uint64_t address;
  int level;  // -1: the root, whose level is not known yet
};

// Version 2: what every node of one depth has in common.
struct Level2 {
  std::uint64_t most_records = 0;
  std::uint64_t most_below = 0;  // records in the node and all under it
  unsigned below_width = 0;      // bytes of that count in a pointer; leaves have none
};

struct Node2 {
  std::uint64_t address;
  std::uint64_t records;
  std::size_t depth;
};

class Btree2 {
 public:
  Btree2(const FormatBytes& file, std::uint64_t address, ChunkTable& table)
      : file_(file), table_(table), rank_(table.grid().rank()) {
    Block header = file.read_checked(address, 22 + file.offset_bytes() + file.length_bytes(),
                                     "BTHD", "B-tree header");
    header.expect(header.u8(), 0, "version");
    type_ = header.u8();
    header.expect(type_, table.grid().filtered ? 11 : 10, "record type");
    node_bytes_ = header.u32();
    record_bytes_ = header.u16();
    depth_ = header.u16();
    header.take(2);  // percents at which nodes split and merge
    root_.address = file.address(header);
    root_.records = header.u16();
    root_.depth = depth_;
    if (record_bytes_ < 8 * rank_) header.fail("its records are too small");
    record_.emplace(file, table.grid(), record_bytes_ - 8 * rank_, header);
    if (depth_ > kMostDepth) header.fail(fmt::format("a depth of {} cannot be", depth_));
    size_levels(header);
  }

  void walk() {
    std::vector<Node2> stack;
    if (root_.address != Chunk::kUnwritten && root_.records > 0) stack.push_back(root_);
    while (!stack.empty()) {
      const Node2 node = stack.back();
      stack.pop_back();
      read(node, stack);
    }
  }

 private:
  // Records and pointers that fit a node, from the leaves up; the counts' widths follow.
  void size_levels(const Block& header) {
    constexpr std::uint64_t kFrame = 10;  // signature, version, type, checksum
    if (node_bytes_ < kFrame + record_bytes_)
      header.fail(fmt::format("a node of {} bytes holds no record", node_bytes_));
    Level2 leaf;
    leaf.most_records = leaf.most_below = (node_bytes_ - kFrame) / record_bytes_;
    count_width_ = bytes_for(leaf.most_records);
    levels_.push_back(leaf);
    for (std::size_t depth = 1; depth <= depth_; ++depth) {
      const Level2& below = levels_.back();
      const std::uint64_t pointer = file_.offset_bytes() + count_width_ + below.below_width;
      if (node_bytes_ < kFrame + record_bytes_ + 2 * pointer)
        header.fail(fmt::format("a node of {} bytes holds no pointer", node_bytes_));
      Level2 level;
      level.most_records = (node_bytes_ - kFrame - pointer) / (record_bytes_ + pointer);
      level.most_below = saturating_sum(
          saturating_product(level.most_records + 1, below.most_below), level.most_records);
      level.below_width = bytes_for(level.most_below);
      levels_.push_back(level);
    }
  }

  void read(const Node2& node, std::vector<Node2>& stack) {
    const bool leaf = node.depth == 0;
    const std::uint64_t pointer =
        leaf ? 0 : file_.offset_bytes() + count_width_ + levels_[node.depth - 1].below_width;
    if (node.records > levels_[node.depth].most_records)
      file_.fail(
          fmt::format("a B-tree node at address {} has {} records, more than fit; the file "
                      "is damaged",
                      node.address, node.records));
    const std::uint64_t bytes =
        10 + node.records * record_bytes_ + (leaf ? 0 : (node.records + 1) * pointer);
    Block block = file_.read_checked(node.address, bytes, leaf ? "BTLF" : "BTIN", "B-tree node");
    block.expect(block.u8(), 0, "version");
    block.expect(block.u8(), type_, "record type");
    std::vector<std::uint64_t> coordinates(rank_);
    for (std::uint64_t i = 0; i < node.records; ++i) {
      const Chunk chunk = record_->read(block);
      for (std::uint64_t& coordinate : coordinates) coordinate = block.number(8);
      table_.add(coordinates, chunk);
    }
    for (std::uint64_t i = 0; !leaf && i <= node.records; ++i) {
      const std::uint64_t address = file_.address(block);
      const std::uint64_t records = block.number(count_width_);
      const unsigned width = levels_[node.depth - 1].below_width;
      if (width > 0) block.number(width);
      stack.push_back({address, records, node.depth - 1});
    }
  }

  const FormatBytes& file_;
  ChunkTable& table_;
  const std::size_t rank_;
  std::uint8_t type_ = 0;
  std::uint64_t node_bytes_ = 0, record_bytes_ = 0;
  std::size_t depth_ = 0;
  unsigned count_width_ = 0;
  std::vector<Level2> levels_;
  std::optional<ChunkRecord> record_;
  Node2 root_{};
};

}  // namespace

void walk_btree1(const FormatBytes& file, std::uint64_t address, ChunkTable& table) {
  const ChunkGrid& grid = table.grid();
  const std::uint64_t key_bytes = 8 + 8 * (grid.rank() + 1);
  const std::uint64_t head_bytes = 8 + 2 * file.offset_bytes();
  std::vector<std::uint64_t> coordinates(grid.rank());
  std::vector<Node1> stack{{address, -1}};
  while (!stack.empty()) {
    const Node1 node = stack.back();
    stack.pop_back();
    Block head = file.read(node.address, head_bytes, "B-tree node");
    const std::span<const std::byte> signature = head.take(4);
    if (std::string_view(reinterpret_cast<const char*>(signature.data()), 4) != "TREE")
      head.fail("it does not begin with TREE; the file is damaged");
    head.expect(head.u8(), 1, "node type");
    const int level = head.u8();
    if (node.level >= 0)
      head.expect(static_cast<unsigned>(level), static_cast<unsigned>(node.level), "level");
    const std::uint64_t entries = head.u16();
    Block body = file.read(node.address + head_bytes, entries * (key_bytes + file.offset_bytes()),
                           "B-tree node");
    for (std::uint64_t i = 0; i < entries; ++i) {
      Chunk chunk;
      chunk.bytes = body.u32();
      chunk.filter_mask = body.u32();
      for (std::size_t axis = 0; axis < grid.rank(); ++axis) {
        const std::uint64_t element = body.number(8);
        if (element % grid.chunk[axis] != 0)
          body.fail(
              fmt::format("a chunk at element {} of axis {}, inside another; the file is "
                          "damaged",
                          element, axis));
        coordinates[axis] = element / grid.chunk[axis];
      }
      body.expect(body.number(8), 0, "offset inside an element");
      chunk.address = file.address(body);
      if (level == 0)
        table.add(coordinates, chunk);
      else
        stack.push_back({chunk.address, level - 1});
    }
  }
}

void walk_btree2(const FormatBytes& file, std::uint64_t address, ChunkTable& table) {
  Btree2(file, address, table).walk();
}

}  // namespace lockstep::hdf5
