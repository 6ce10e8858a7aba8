// zlib's gz functions read plain files as they are, so there is one path for both.
#include "io/formats/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "io/dataset/dataset.h"
#include "io/base/file.h"
#include "io/base/progress.h"

namespace lockstep {
namespace {

constexpr std::uint32_t kUnsignedBytes = 0x0800;
constexpr unsigned kBlock = 1u << 20;
// Deflate makes at most 1,032 bytes of one (zlib's technical notes).
constexpr std::uint64_t kLargestRatio = 1032;

class GzFile {
 public:
  explicit GzFile(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (file_ == nullptr) throw Error("{}: cannot open", path);
    gzbuffer(file_.get(), kBlock);
  }
  // Bytes read, fewer than asked for only at the end of the file.
  std::size_t read(std::byte* to, unsigned bytes) {
    const int done = gzread(file_.get(), to, bytes);
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (done < 0 || code == Z_BUF_ERROR)
      throw Error("{}: damaged or truncated gzip file: {}", path_, text);
    return static_cast<std::size_t>(done);
  }
  std::uint32_t read_big_endian() {
    std::array<std::byte, 4> bytes{};
    if (read(bytes.data(), 4) != 4) throw Error("{}: truncated inside the IDX header", path_);
    std::uint32_t value = 0;
    for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint32_t>(byte);
    return value;
  }

 private:
  struct Close {
    void operator()(gzFile_s* file) const { gzclose_r(file); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

std::string magic_meaning(std::uint32_t magic) {
  if (magic == kUnsignedBytes + 3) return ": images";
  if (magic == kUnsignedBytes + 1) return ": labels";
  return "";
}

}  // namespace

Tensor read_idx(const std::string& path, int axes) {
  const std::uint64_t file_bytes = FileReader(path).size();
  GzFile file(path);
  const std::uint32_t expected = kUnsignedBytes + static_cast<std::uint32_t>(axes);
  const std::uint32_t magic = file.read_big_endian();
  if (magic != expected)
    throw Error("{}: magic number {:#010x}{}, where {:#010x}{} is expected", path, magic,
                magic_meaning(magic), expected, magic_meaning(expected));
  std::vector<std::int64_t> sizes;
  std::uint64_t promised = 1;
  for (int axis = 0; axis < axes; ++axis) {
    sizes.push_back(file.read_big_endian());
    const std::uint64_t size = static_cast<std::uint64_t>(sizes.back());
    if (size != 0 && promised > file_bytes * kLargestRatio / size)
      throw Error(
          "{}: the header promises axis {} of size {}, more than a file of {} bytes can hold", path,
          axis, size, file_bytes);
    promised *= size;
  }
  Tensor values = host_tensor(Shape(sizes), DType::kUInt8);
  Progress progress(path, values.elements());
  std::uint64_t done = 0;
  while (done < promised) {
    const auto want = static_cast<unsigned>(std::min<std::uint64_t>(kBlock, promised - done));
    const std::size_t got = file.read(values.raw() + done, want);
    done += got;
    if (got < want) break;
    progress.advance(want);
  }
  std::byte extra{};
  if (done == promised) done += file.read(&extra, 1);
  if (done != promised)
    throw Error("{}: {} {} bytes of values, where the header's shape {} promises {}", path,
                done > promised ? "holds at least" : "holds", done, values.shape().to_string(),
                promised);
  return values;
}

}  // namespace lockstep
