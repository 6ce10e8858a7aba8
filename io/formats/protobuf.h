// Protocol buffers, the part that writes: fields of a message appended to a string
// (https://protobuf.dev/programming-guides/encoding).
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lockstep {

class ProtoMessage {
 public:
  ProtoMessage& integer(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  ProtoMessage& real(int field, double value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 1);
    return fixed(std::bit_cast<std::uint64_t>(value));
  }
  ProtoMessage& single(int field, float value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 5);
    return fixed(std::bit_cast<std::uint32_t>(value));
  }
  ProtoMessage& bytes(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    text_ += value;
    return *this;
  }
  ProtoMessage& message(int field, const ProtoMessage& value) { return bytes(field, value.text_); }
  ProtoMessage& packed(int field, std::span<const double> values) {
    ProtoMessage all;
    for (const double value : values) all.fixed(std::bit_cast<std::uint64_t>(value));
    return bytes(field, all.text_);
  }

  const std::string& text() const { return text_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
    text_ += static_cast<char>(value);
  }
  template <typename Bits>
  ProtoMessage& fixed(Bits bits) {  // little endian
    for (std::size_t i = 0; i < sizeof bits; ++i) text_ += static_cast<char>(bits >> (8 * i));
    return *this;
  }

  std::string text_;
};

}  // namespace lockstep
