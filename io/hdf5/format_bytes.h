// Reading the structures of an HDF5 file: little-endian numbers of the file's own widths, from
// blocks whose place, size, signature and checksum have been checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/hdf5/chunk_walker.h"
#include "kernels/core/error.h"

namespace lockstep::hdf5 {

// Bob Jenkins' lookup3 (hashlittle, initial value 0), the checksum of HDF5's metadata.
std::uint32_t metadata_checksum(std::span<const std::byte> bytes);

// The bytes of a number up to `limit`: how HDF5 sizes the counts in its nodes.
unsigned bytes_for(std::uint64_t limit);

// One block of metadata, read from its start on.
class Block {
 public:
  Block(std::vector<std::byte> bytes, std::string where)
      : bytes_(std::move(bytes)), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  std::size_t left() const { return bytes_.size() - place_; }
  std::uint64_t number(unsigned width);  // 1 to 8 bytes
  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::span<const std::byte> take(std::size_t count);
  void expect(std::uint64_t found, std::uint64_t wanted, std::string_view what) const {
    if (found != wanted) fail(fmt::format("its {} is {}, not {}", what, found, wanted));
  }
  // The last four bytes must be the checksum of those before.
  void check_sum() const;
  [[noreturn]] void fail(const std::string& reason) const;

 private:
  std::vector<std::byte> bytes_;
  std::string where_;
  std::size_t place_ = 0;
};

// A file with the widths that its superblock declares. Nodes of an index do not overlap: reading
// many times the bytes that the file has is an error, which ends every circle of pointers.
class FormatBytes {
 public:
  FormatBytes(const ByteSource& source, std::string where);  // finds and reads the superblock

  unsigned offset_bytes() const { return offset_bytes_; }
  unsigned length_bytes() const { return length_bytes_; }
  // An address in a block; kUnwritten for the undefined one.
  std::uint64_t address(Block& block) const;
  // Whether `bytes` from `address` on lie in the file.
  bool holds(std::uint64_t address, std::uint64_t bytes) const;
  std::uint64_t place(std::uint64_t address) const { return base_ + address; }  // in the file
  std::uint64_t size() const { return source_.size() - base_; }

  // Errors about the block call it `name`, such as "fixed array header".
  Block read(std::uint64_t address, std::uint64_t bytes, std::string_view name) const;
  // Also checks the signature (and skips it) and the checksum at its end.
  Block read_checked(std::uint64_t address, std::uint64_t bytes, std::string_view signature,
                     std::string_view name) const;
  [[noreturn]] void fail(const std::string& reason) const;

 private:
  const ByteSource& source_;
  std::string where_;
  std::uint64_t base_ = 0;  // of the superblock, after a user block
  unsigned offset_bytes_ = 0, length_bytes_ = 0;
  mutable std::uint64_t bytes_read_ = 0;
};

}  // namespace lockstep::hdf5
