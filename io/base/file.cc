// POSIX file calls behind FileReader, FileWriter and PendingFile; every failure carries errno's
// text.
#include "io/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "io/base/system_reason.h"
#include "kernels/core/error.h"

namespace lockstep {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

void fsync_path(const std::string& path, int flags, const std::string& shown) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0) throw Error("{}: cannot open to save: {}", shown, system_reason(errno));
  const int failed = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  // Some network file systems cannot sync a folder; they answer EINVAL.
  if (failed != 0 && !(failed == EINVAL && (flags & O_DIRECTORY)))
    throw Error("{}: cannot save to disk: {}", shown, system_reason(failed));
}

}  // namespace

PendingFile::PendingFile(std::string path)
    : path_(std::move(path)), temporary_(path_ + ".partial") {}

PendingFile::~PendingFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void PendingFile::commit() {
  fsync_path(temporary_, O_RDONLY, path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    throw Error("{}: cannot rename from its temporary name: {}", path_, system_reason(errno));
  committed_ = true;
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  fsync_path(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY, path_);
}

FileWriter::FileWriter(const std::string& path) : pending_(path) {
  descriptor_ =
      ::open(pending_.temporary().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw Error("{}: cannot create: {}", path, system_reason(errno));
  buffer_.reserve(kBufferBytes);
}

FileWriter::~FileWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FileWriter::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes)
    put(bytes);
  else
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void FileWriter::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void FileWriter::flush() {
  put(buffer_);
  buffer_.clear();
}

void FileWriter::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0)
      throw Error("{}: cannot write {} bytes (what stood there before is unchanged): {}",
                  pending_.path(), bytes.size(), system_reason(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

void FileWriter::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0)
    throw Error("{}: cannot close: {}", pending_.path(), system_reason(errno));
}

void FileWriter::commit() {
  flush();
  close();
  pending_.commit();
}

FileReader::FileReader(std::string path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) throw Error("{}: cannot open: {}", path_, system_reason(errno));
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw Error("{}: not a regular file", path_);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

FileReader::~FileReader() {
  ::close(descriptor_);
}

void FileReader::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  if (offset > size_ || bytes.size() > size_ - offset)
    throw Error("{}: truncated: {} bytes are wanted at byte {}, but the file ends at byte {}",
                path_, bytes.size(), offset, size_);
  while (!bytes.empty()) {
    const ssize_t done =
        ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0)
      throw Error("{}: cannot read at byte {}: {}", path_, offset, system_reason(errno));
    if (done == 0) throw Error("{}: truncated while it was read, at byte {}", path_, offset);
    offset += static_cast<std::uint64_t>(done);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

std::string read_text(const std::string& path) {
  const FileReader file(path);
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void write_text(const std::string& path, std::string_view text) {
  FileWriter file(path);
  file.write(text);
  file.commit();
}

}  // namespace lockstep
