// Reading treats the file as untrusted: every size is checked against what is left of the file
// before memory is asked for, so damage ends in an Error, never in a huge allocation.
#include "io/formats/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "io/base/checksum.h"
#include "io/dataset/dataset.h"
#include "io/base/file.h"

namespace lockstep {
namespace {

constexpr std::string_view kMagic = "LOCKSTEP";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kAlign = 8;

struct Header {
  std::array<char, 8> magic;
  std::uint32_t version, tensors;
  std::uint64_t file_bytes, state_bytes, checksum;
};
static_assert(sizeof(Header) == 40);

struct TensorHeader {  // sizes, name and checksum follow
  std::uint32_t name_bytes;
  std::uint8_t type, axes;
  std::uint16_t zero;
};
static_assert(sizeof(TensorHeader) == 8);

// What a type is called in files; independent of the enumeration's order.
constexpr std::array<std::pair<DType, std::uint8_t>, 5> kTypeCodes = {{{DType::kFloat32, 1},
                                                                       {DType::kBFloat16, 2},
                                                                       {DType::kUInt8, 3},
                                                                       {DType::kInt64, 4},
                                                                       {DType::kFloat64, 5}}};

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

std::uint64_t padding(std::uint64_t bytes) {
  return (kAlign - bytes % kAlign) % kAlign;
}

// The part of a tensor's frame before its values, without the checksum.
std::string tensor_header(const NamedTensor& named) {
  TensorHeader fixed{};
  fixed.name_bytes = static_cast<std::uint32_t>(named.name.size());
  for (const auto& [type, code] : kTypeCodes)
    if (type == named.tensor.dtype()) fixed.type = code;
  fixed.axes = static_cast<std::uint8_t>(named.tensor.shape().rank());
  std::string text(reinterpret_cast<const char*>(&fixed), sizeof fixed);
  for (const std::int64_t size : named.tensor.shape().sizes())
    text.append(reinterpret_cast<const char*>(&size), sizeof size);
  text += named.name;
  text.append(padding(text.size()), '\0');
  return text;
}

// Writes parts and keeps the checksum of all of them.
class Writer {
 public:
  explicit Writer(const std::string& path) : file_(path) {}

  void raw(std::span<const std::byte> bytes) {
    whole_.update(bytes);
    file_.write(bytes);
  }
  void part(std::span<const std::byte> bytes) {  // padded, then its own checksum
    raw(bytes);
    constexpr std::array<std::byte, kAlign> kZeros{};
    raw(std::span(kZeros).first(padding(bytes.size())));
    raw(bytes_of(checksum(bytes.data(), bytes.size())));
  }
  void finish() {
    file_.write(bytes_of(whole_.value()));
    file_.commit();
  }

 private:
  FileWriter file_;
  Checksum whole_;
};

// Reads parts one after another; each failure says which part, and where it starts.
class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path) {}

  // `what` is the part that the next reads belong to.
  void begin(std::string what) {
    what_ = std::move(what);
    begin_ = place_;
  }
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error("{}: damaged checkpoint: {} at byte {}: {}", file_.path(), what_, begin_,
                fmt::format(format, std::forward<Args>(args)...));
  }
  // Fails unless so many bytes are left, whatever the claim that asks for them.
  void require(std::uint64_t bytes) const {
    if (bytes > file_.size() - place_)
      fail("needs {} bytes more, the file ends after {}", bytes, file_.size() - place_);
  }
  void read(std::span<std::byte> bytes) {
    require(bytes.size());
    file_.read_at(place_, bytes);
    whole_.update(bytes);
    place_ += bytes.size();
  }
  template <typename T>
  T read() {
    T value{};
    read(std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void expect_checksum(std::uint64_t computed) {
    const auto stored = read<std::uint64_t>();
    if (stored != computed)
      fail("its checksum is {}, {} is stored", checksum_text(computed), checksum_text(stored));
  }
  void expect_zeros(std::uint64_t bytes) {
    for (; bytes > 0; --bytes)
      if (read<std::byte>() != std::byte{0}) fail("its padding is not zero");
  }
  std::uint64_t size() const { return file_.size(); }
  std::uint64_t left() const { return file_.size() - place_; }
  std::uint64_t whole() const { return whole_.value(); }

 private:
  FileReader file_;
  Checksum whole_;
  std::uint64_t place_ = 0, begin_ = 0;
  std::string what_;
};

Header read_header(Reader& reader, const std::string& path) {
  reader.begin("the header");
  const auto header = reader.read<Header>();
  if (std::string_view(header.magic.data(), header.magic.size()) != kMagic)
    throw Error("{}: not a lockstep checkpoint", path);
  if (checksum(&header, offsetof(Header, checksum)) != header.checksum)
    reader.fail("its checksum differs");
  if (header.version != kVersion)
    throw Error("{}: checkpoint format {}; this program reads {}", path, header.version, kVersion);
  if (header.file_bytes != reader.size())
    reader.fail("truncated or extended: {} bytes were written, the file has {}", header.file_bytes,
                reader.size());
  return header;
}

std::string read_state(Reader& reader, std::uint64_t bytes) {
  reader.begin("the state");
  reader.require(bytes);
  std::string state(bytes, '\0');
  reader.read(std::as_writable_bytes(std::span(state)));
  reader.expect_zeros(padding(bytes));
  reader.expect_checksum(checksum(state));
  if (!nlohmann::json::accept(state)) reader.fail("it is no JSON text");
  return state;
}

NamedTensor read_tensor(Reader& reader, std::uint32_t index) {
  reader.begin(fmt::format("tensor {}", index));
  const auto fixed = reader.read<TensorHeader>();
  Checksum sum;
  sum.update(bytes_of(fixed));
  if (fixed.axes > Shape::kMaxRank) reader.fail("{} axes", fixed.axes);
  std::vector<std::int64_t> sizes(fixed.axes);
  for (std::int64_t& size : sizes) size = reader.read<std::int64_t>();
  sum.update(std::as_bytes(std::span(sizes)));
  reader.require(fixed.name_bytes);
  NamedTensor named;
  named.name.resize(fixed.name_bytes);
  reader.read(std::as_writable_bytes(std::span(named.name)));
  sum.update(named.name);
  const std::uint64_t padded = padding(fixed.name_bytes);
  constexpr std::array<std::byte, kAlign> kZeros{};
  sum.update(std::span(kZeros).first(padded));
  reader.expect_zeros(padded);
  reader.expect_checksum(sum.value());

  reader.begin(fmt::format("tensor '{}'", named.name));
  const auto code = std::find_if(kTypeCodes.begin(), kTypeCodes.end(),
                                 [&](const auto& entry) { return entry.second == fixed.type; });
  if (code == kTypeCodes.end()) reader.fail("unknown type {}", fixed.type);
  std::uint64_t bytes = size_of(code->first);
  for (const std::int64_t size : sizes) {
    if (size < 0 || (size > 0 && bytes > reader.left() / static_cast<std::uint64_t>(size)))
      reader.fail("an axis of {} does not fit into the file", size);
    bytes *= static_cast<std::uint64_t>(size);
  }
  named.tensor = host_tensor(Shape(sizes), code->first);
  const std::span<std::byte> values(named.tensor.raw(), bytes);
  reader.read(values);
  reader.expect_zeros(padding(bytes));
  reader.expect_checksum(checksum(values.data(), values.size()));
  return named;
}

}  // namespace

const Tensor& Checkpoint::tensor(const std::string& name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const NamedTensor& named) { return named.name == name; });
  if (found == tensors.end()) throw Error("the checkpoint has no tensor '{}'", name);
  return found->tensor;
}

void write_checkpoint(const std::string& path, const std::string& state,
                      std::span<const NamedTensor> tensors) {
  constexpr std::uint64_t kSum = sizeof(std::uint64_t);
  Header header{};
  std::memcpy(header.magic.data(), kMagic.data(), kMagic.size());
  header.version = kVersion;
  header.tensors = static_cast<std::uint32_t>(tensors.size());
  header.state_bytes = state.size();
  header.file_bytes = sizeof header + state.size() + padding(state.size()) + 2 * kSum;
  for (const NamedTensor& named : tensors) {
    const std::uint64_t bytes = named.tensor.bytes();
    header.file_bytes += tensor_header(named).size() + bytes + padding(bytes) + 2 * kSum;
  }
  header.checksum = checksum(&header, offsetof(Header, checksum));

  Writer writer(path);
  writer.raw(bytes_of(header));
  writer.part(std::as_bytes(std::span(state)));
  for (const NamedTensor& named : tensors) {
    const std::string frame = tensor_header(named);
    writer.part(std::as_bytes(std::span(frame)));
    writer.part(std::span<const std::byte>(named.tensor.raw(), named.tensor.bytes()));
  }
  writer.finish();
}

Checkpoint read_checkpoint(const std::string& path) {
  Reader reader(path);
  const Header header = read_header(reader, path);
  Checkpoint checkpoint;
  checkpoint.state = read_state(reader, header.state_bytes);
  for (std::uint32_t index = 0; index < header.tensors; ++index)
    checkpoint.tensors.push_back(read_tensor(reader, index));
  reader.begin("the trailer");
  reader.expect_checksum(reader.whole());
  if (reader.left() != 0) reader.fail("{} bytes follow it", reader.left());
  return checkpoint;
}

std::string checkpoint_name(std::int64_t step) {
  return fmt::format("step-{:08d}.ckpt", step);
}

std::vector<CheckpointFile> list_checkpoints(const std::string& folder) {
  std::vector<CheckpointFile> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    constexpr std::string_view kPrefix = "step-";
    if (!name.starts_with(kPrefix)) continue;
    std::int64_t step = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
    if (name == checkpoint_name(step)) found.push_back({entry.path().string(), step});
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw Error("{}: cannot list: {}", folder, error.message());
  std::sort(found.begin(), found.end(),
            [](const CheckpointFile& a, const CheckpointFile& b) { return a.step > b.step; });
  return found;
}

}  // namespace lockstep
