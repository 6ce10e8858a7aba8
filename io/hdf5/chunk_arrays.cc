// Chunk indexes that are arrays: fixed, where no axis may grow without a limit, and extensible,
// where one may. Long ones are kept in pages, and a page that was never written is not in the file.
#include <bit>
#include <vector>

#include "io/hdf5/chunk_table.h"
#include "io/hdf5/saturating.h"

namespace lockstep::hdf5 {

namespace {

constexpr std::uint64_t kSumBytes = 4;
constexpr unsigned kMostPageBits = 32;

bool bit_of(std::span<const std::byte> bits, std::uint64_t place) {  // the highest bit comes first
  return (std::to_integer<unsigned>(bits[place / 8]) & (0x80U >> (place % 8))) != 0;
}

// Elements of either array, entered in the table under the coordinates of their numbers.
class Elements {
 public:
  Elements(const FormatBytes& file, ChunkTable& table, std::uint64_t element_bytes,
           const Block& header)
      : file_(file),
        table_(table),
        record_(file, table.grid(), element_bytes, header),
        order_(file, table.grid()) {}

  std::uint64_t bytes() const { return record_.bytes(); }
  std::uint64_t total() const { return order_.elements(); }

  void read(Block& block, std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i)
      table_.add(order_.coordinates(first + i), record_.read(block));
  }

  void read_page(std::uint64_t address, std::uint64_t first, std::uint64_t count) {
    Block page = file_.read(address, saturating_sum(saturating_product(count, bytes()), kSumBytes),
                            "page of a chunk array");
    page.check_sum();
    read(page, first, count);
  }

 private:
  const FormatBytes& file_;
  ChunkTable& table_;
  ChunkRecord record_;
  ArrayOrder order_;
};

std::uint8_t client_id(const ChunkTable& table) {
  return table.grid().filtered ? 1 : 0;
}

// Version, kind of records and the header's address, as every block of an array has them.
void check_prefix(const FormatBytes& file, Block& block, const ChunkTable& table,
                  std::uint64_t header) {
  block.expect(block.u8(), 0, "version");
  block.expect(block.u8(), client_id(table), "kind of records");
  block.expect(file.address(block), header, "header's address");
}

struct ExtensibleHeader {
  std::uint64_t address = 0;
  std::uint8_t element_bytes = 0, most_bits = 0, index_elements = 0, least_elements = 0,
               least_pointers = 0, page_bits = 0;
  std::uint64_t index_block = 0;

  std::uint64_t page() const { return std::uint64_t{1} << page_bits; }
  unsigned offset_width() const { return (most_bits + 7U) / 8; }
  unsigned super_blocks() const {
    return 1U + most_bits - static_cast<unsigned>(std::countr_zero(least_elements));
  }
};

// A super block is a set of data blocks of one size; they grow by turns in number and in size.
struct SuperBlock {
  std::uint64_t blocks, elements;  // data blocks, and elements of each

  SuperBlock(unsigned number, const ExtensibleHeader& header)
      : blocks(std::uint64_t{1} << (number / 2)),
        elements((std::uint64_t{1} << ((number + 1) / 2)) * header.least_elements) {}
};

ExtensibleHeader read_extensible_header(const FormatBytes& file, std::uint64_t address,
                                        const ChunkTable& table, Block& block) {
  ExtensibleHeader header;
  header.address = address;
  block.expect(block.u8(), 0, "version");
  block.expect(block.u8(), client_id(table), "kind of records");
  header.element_bytes = block.u8();
  header.most_bits = block.u8();
  header.index_elements = block.u8();
  header.least_elements = block.u8();
  header.least_pointers = block.u8();
  header.page_bits = block.u8();
  for (int statistic = 0; statistic < 6; ++statistic) block.number(file.length_bytes());
  header.index_block = file.address(block);
  const bool sane = std::has_single_bit(header.least_elements) &&
                    std::has_single_bit(header.least_pointers) && header.least_pointers >= 2 &&
                    header.most_bits <= 64 && header.page_bits <= kMostPageBits &&
                    header.most_bits >= std::countr_zero(header.least_elements);
  if (!sane) block.fail("its parameters cannot be; the file is damaged");
  return header;
}

class ExtensibleArray {
 public:
  ExtensibleArray(const FormatBytes& file, ChunkTable& table, const ExtensibleHeader& header,
                  const Block& block)
      : file_(file),
        table_(table),
        header_(header),
        elements_(file, table, header.element_bytes, block) {}

  void walk() {
    if (header_.index_block == Chunk::kUnwritten) return;
    const unsigned total = header_.super_blocks();
    const unsigned direct = 2 * static_cast<unsigned>(std::countr_zero(header_.least_pointers));
    const std::uint64_t pointers = 2 * (header_.least_pointers - 1U);
    const std::uint64_t indirect = total > direct ? total - direct : 0;
    Block block =
        file_.read_checked(header_.index_block,
                           6 + file_.offset_bytes() + header_.index_elements * elements_.bytes() +
                               (pointers + indirect) * file_.offset_bytes() + kSumBytes,
                           "EAIB", "extensible array index");
    check_prefix(file_, block, table_, header_.address);
    elements_.read(block, 0, header_.index_elements);
    std::uint64_t first = header_.index_elements;
    for (unsigned number = 0; number < direct; ++number) {
      const SuperBlock super(number, header_);
      for (std::uint64_t i = 0; i < super.blocks; ++i, first += super.elements)
        read_data_block(file_.address(block), first, super.elements);
    }
    for (unsigned number = direct; number < total; ++number) {
      const SuperBlock super(number, header_);
      read_super_block(file_.address(block), first, super);
      first = saturating_sum(first, saturating_product(super.blocks, super.elements));
    }
  }

 private:
  std::uint64_t prefix_bytes() const { return 6 + file_.offset_bytes() + header_.offset_width(); }

  void read_data_block(std::uint64_t address, std::uint64_t first, std::uint64_t count) {
    if (address == Chunk::kUnwritten) return;
    Block block = file_.read_checked(
        address,
        saturating_sum(prefix_bytes() + kSumBytes, saturating_product(count, elements_.bytes())),
        "EADB", "extensible array data block");
    check_prefix(file_, block, table_, header_.address);
    block.take(header_.offset_width());
    elements_.read(block, first, count);
  }

  void read_super_block(std::uint64_t address, std::uint64_t first, const SuperBlock& super) {
    if (address == Chunk::kUnwritten) return;
    const bool paged = super.elements > header_.page();
    const std::uint64_t pages = paged ? super.elements / header_.page() : 0;
    const std::uint64_t map_bytes = saturating_product(super.blocks, (pages + 7) / 8);
    const std::uint64_t bytes =
        saturating_sum(map_bytes, saturating_product(super.blocks, file_.offset_bytes()));
    Block block = file_.read_checked(address, saturating_sum(bytes, prefix_bytes() + kSumBytes),
                                     "EASB", "extensible array super block");
    check_prefix(file_, block, table_, header_.address);
    block.take(header_.offset_width());
    const std::span<const std::byte> written = block.take(map_bytes);
    for (std::uint64_t i = 0; i < super.blocks; ++i, first += super.elements) {
      const std::uint64_t data = file_.address(block);
      if (!paged) {
        read_data_block(data, first, super.elements);
        continue;
      }
      if (data == Chunk::kUnwritten) continue;
      Block prefix = file_.read_checked(data, prefix_bytes() + kSumBytes, "EADB",
                                        "extensible array data block");
      check_prefix(file_, prefix, table_, header_.address);
      const std::uint64_t page_bytes = header_.page() * elements_.bytes() + kSumBytes;
      for (std::uint64_t page = 0; page < pages; ++page)
        if (bit_of(written, i * pages + page))
          elements_.read_page(data + prefix_bytes() + kSumBytes + page * page_bytes,
                              first + page * header_.page(), header_.page());
    }
  }

  const FormatBytes& file_;
  ChunkTable& table_;
  const ExtensibleHeader header_;
  Elements elements_;
};

}  // namespace

void walk_fixed_array(const FormatBytes& file, std::uint64_t address, ChunkTable& table) {
  Block header = file.read_checked(address, 12 + file.length_bytes() + file.offset_bytes(), "FAHD",
                                   "fixed array header");
  header.expect(header.u8(), 0, "version");
  header.expect(header.u8(), client_id(table), "kind of records");
  const std::uint8_t element_bytes = header.u8();
  const unsigned page_bits = header.u8();
  const std::uint64_t count = header.number(file.length_bytes());
  const std::uint64_t data = file.address(header);
  Elements elements(file, table, element_bytes, header);
  header.expect(count, elements.total(), "number of elements");
  if (page_bits > kMostPageBits) header.fail(fmt::format("pages of 2^{} elements", page_bits));
  if (data == Chunk::kUnwritten) return;

  const std::uint64_t page = std::uint64_t{1} << page_bits;
  const bool paged = count > page;
  const std::uint64_t pages = paged ? count / page + (count % page != 0) : 0;
  const std::uint64_t body =
      paged ? pages / 8 + (pages % 8 != 0) : saturating_product(count, elements.bytes());
  const std::uint64_t frame = 6 + file.offset_bytes() + kSumBytes;
  Block block =
      file.read_checked(data, saturating_sum(body, frame), "FADB", "fixed array data block");
  check_prefix(file, block, table, address);
  if (!paged) return elements.read(block, 0, count);
  const std::span<const std::byte> written = block.take(body);
  for (std::uint64_t i = 0; i < pages; ++i)
    if (bit_of(written, i))
      elements.read_page(data + frame + body + i * (page * elements.bytes() + kSumBytes), i * page,
                         std::min(page, count - i * page));
}

void walk_extensible_array(const FormatBytes& file, std::uint64_t address, ChunkTable& table) {
  Block block = file.read_checked(address, 16 + 6 * file.length_bytes() + file.offset_bytes(),
                                  "EAHD", "extensible array header");
  const ExtensibleHeader header = read_extensible_header(file, address, table, block);
  ExtensibleArray(file, table, header, block).walk();
}

}  // namespace lockstep::hdf5
