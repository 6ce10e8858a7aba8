#include "io/base/system_reason.h"

#include <cerrno>
#include <cstring>

namespace lockstep {

std::string system_reason(int error) {
  switch (error) {
    case ENOSPC:
      return "the disk is full; make room and run again";
    case EDQUOT:
      return "the disk quota is used up; make room and run again";
    case EIO:
      return "the disk or its network fails (Input/output error); check it and run again";
    case EROFS:
      return "its file system is read-only; write elsewhere";
    default:
      return std::strerror(error);
  }
}

}  // namespace lockstep
