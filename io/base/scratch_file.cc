#include "io/base/scratch_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "io/base/system_reason.h"
#include "kernels/core/error.h"

namespace lockstep {

ScratchFile::ScratchFile(const std::string& neighbour)
    : folder_((std::filesystem::absolute(neighbour).parent_path()).string()) {
  descriptor_ = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor_ < 0) {  // network file systems, as a rule, have no nameless files
    std::string name = folder_ + "/.lockstep-XXXXXX";
    descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor_ >= 0) ::unlink(name.c_str());
  }
  if (descriptor_ < 0)
    throw Error("{}: cannot make a temporary file there: {}", folder_, system_reason(errno));
}

ScratchFile::~ScratchFile() {
  ::close(descriptor_);
}

void ScratchFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0)
      throw Error("{}: cannot write {} bytes to a temporary file there: {}", folder_, bytes.size(),
                  system_reason(errno));
    offset += static_cast<std::uint64_t>(done);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

void ScratchFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t done =
        ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0)
      throw Error("{}: cannot read back a temporary file there: {}", folder_,
                  done < 0 ? system_reason(errno) : "it ends early");
    offset += static_cast<std::uint64_t>(done);
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

}  // namespace lockstep
