// zlib's gz functions read plain files as they are, so there is one path for both.
#include "io/formats/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <vector>

#include "io/base/file.h"
#include "io/dataset/dataset.h"

namespace lockstep {
namespace {

constexpr std::uint32_t kUnsignedBytes = 0x0800;
constexpr unsigned kBlock = 1u << 20;
// Deflate makes at most 1,032 bytes of one (zlib's technical notes).
constexpr std::uint64_t kLargestRatio = 1032;

std::string magic_meaning(std::uint32_t magic) {
  if (magic == kUnsignedBytes + 3) return ": images";
  if (magic == kUnsignedBytes + 1) return ": labels";
  return "";
}

}  // namespace

class IdxReader::GzFile {
 public:
  explicit GzFile(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (file_ == nullptr) throw Error("{}: cannot open", path);
    gzbuffer(file_.get(), kBlock);
  }
  const std::string& path() const { return path_; }
  // Bytes read, fewer than asked for only at the end of the file.
  std::size_t read(std::byte* to, std::size_t bytes) {
    std::size_t done = 0;
    while (done < bytes) {
      const auto want = static_cast<unsigned>(std::min<std::size_t>(kBlock, bytes - done));
      const int got = gzread(file_.get(), to + done, want);
      check(got >= 0);
      if (got <= 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }
  // Past the end of a file as well: the read that follows then finds nothing.
  void seek(std::int64_t place) {
    if (gztell(file_.get()) != place) check(gzseek(file_.get(), place, SEEK_SET) >= 0);
  }
  std::uint32_t read_big_endian() {
    std::array<std::byte, 4> bytes{};
    if (read(bytes.data(), 4) != 4) throw Error("{}: truncated inside the IDX header", path_);
    std::uint32_t value = 0;
    for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint32_t>(byte);
    return value;
  }

 private:
  void check(bool well) {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (!well || code == Z_BUF_ERROR)
      throw Error("{}: damaged or truncated gzip file: {}", path_, text);
  }

  struct Close {
    void operator()(gzFile_s* file) const { gzclose_r(file); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

IdxReader::IdxReader(const std::string& path, int axes) {
  const std::uint64_t file_bytes = FileReader(path).size();
  file_ = std::make_unique<GzFile>(path);
  const std::uint32_t expected = kUnsignedBytes + static_cast<std::uint32_t>(axes);
  const std::uint32_t magic = file_->read_big_endian();
  if (magic != expected)
    throw Error("{}: magic number {:#010x}{}, where {:#010x}{} is expected", path, magic,
                magic_meaning(magic), expected, magic_meaning(expected));
  std::vector<std::int64_t> sizes;
  std::uint64_t promised = 1;
  for (int axis = 0; axis < axes; ++axis) {
    sizes.push_back(file_->read_big_endian());
    const std::uint64_t size = static_cast<std::uint64_t>(sizes.back());
    if (size != 0 && promised > file_bytes * kLargestRatio / size)
      throw Error(
          "{}: the header promises axis {} of size {}, more than a file of {} bytes can hold", path,
          axis, size, file_bytes);
    promised *= size;
    if (axis > 0) row_bytes_ *= sizes.back();
  }
  shape_ = Shape(sizes);
  header_bytes_ = 4 * (1 + axes);
  check_length();
}

IdxReader::~IdxReader() = default;

// Reads to the end once: what a damaged or foreign file holds shows before anything is made of it.
void IdxReader::check_length() {
  std::vector<std::byte> block(kBlock);
  const auto promised = static_cast<std::uint64_t>(shape_.elements());
  std::uint64_t done = 0;
  while (done <= promised) {
    const std::size_t got = file_->read(block.data(), block.size());
    done += got;
    if (got < block.size()) break;
  }
  if (done != promised)
    throw Error("{}: {} {} bytes of values, where the header's shape {} promises {}", file_->path(),
                done > promised ? "holds at least" : "holds", std::min(done, promised + 1),
                shape_.to_string(), promised);
}

void IdxReader::read(std::span<const std::int64_t> rows, std::byte* out) {
  const auto bytes = static_cast<std::size_t>(row_bytes_);
  for (const std::int64_t row : rows) {
    LOCKSTEP_CHECK(0 <= row && row < shape_[0], "row {} of {} rows", row, shape_[0]);
    file_->seek(header_bytes_ + row * row_bytes_);
    if (file_->read(out, bytes) != bytes)
      throw Error("{}: it became shorter while it was read", file_->path());
    out += bytes;
  }
}

Tensor read_idx(const std::string& path, int axes) {
  IdxReader reader(path, axes);
  Tensor values = host_tensor(reader.shape(), DType::kUInt8);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(reader.shape()[0]));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  reader.read(rows, values.raw());
  return values;
}

}  // namespace lockstep
