/* Preloaded into lockstep by io_faults.py: lets the n-th call that changes a file below a folder fail,
 * as a full disk or a broken one does. Variables of the environment:
 *   IO_FAULT_FOLDER   absolute path; calls on other files pass
 *   IO_FAULT_AT       which call fails, counted from 1; 0: none
 *   IO_FAULT_ERROR    its errno, a number
 *   IO_FAULT_STAYS    set: all calls after it fail too, but for unlink (a full disk can be emptied)
 *   IO_FAULT_LOG      one line a call is appended to this file (outside the folder)
 *   IO_FAULT_FLOCK    errno of every flock, wherever the file is (0 or unset: none)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long calls;

static long number(const char* name) {
  const char* text = getenv(name);
  return text ? atol(text) : 0;
}

/* Counts the call if it is on a file of the folder; whether it is to fail, errno being set. */
static int fails(const char* call, const char* path) {
  const char* folder = getenv("IO_FAULT_FOLDER");
  char absolute[2 * PATH_MAX];
  if (!folder || !path) return 0;
  if (path[0] != '/') {
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here)) return 0;
    snprintf(absolute, sizeof absolute, "%s/%s", here, path);
    path = absolute;
  }
  const size_t length = strlen(folder);
  if (strncmp(path, folder, length) != 0 || (path[length] != '/' && path[length] != '\0')) return 0;
  const long own = atomic_fetch_add(&calls, 1) + 1, at = number("IO_FAULT_AT");
  const int fault = at > 0 && (own == at || (own > at && getenv("IO_FAULT_STAYS")));
  const char* log = getenv("IO_FAULT_LOG");
  if (log) {
    char line[2 * PATH_MAX + 64];
    const int bytes = snprintf(line, sizeof line, "%ld %s %s%s\n", own, call, path + length,
                               fault ? " FAILS" : "");
    const long file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (file >= 0) {
      if (syscall(SYS_write, file, line, bytes) != bytes) abort();
      syscall(SYS_close, file);
    }
  }
  if (fault) errno = (int)number("IO_FAULT_ERROR");
  return fault;
}

static int fails_fd(const char* call, int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return fails(call, path);
}

/* ISO C knows no pointer from data to code; POSIX does. */
#define REAL(name) (__extension__(__typeof__(&name)) dlsym(RTLD_NEXT, #name))

/* name(fd, ...) that answers -1 */
#define FAULTY(type, name, parameters, arguments) \
  type name parameters {                          \
    if (fails_fd(#name, fd)) return -1;           \
    return REAL(name) arguments;                  \
  }
FAULTY(ssize_t, write, (int fd, const void* data, size_t size), (fd, data, size))
FAULTY(ssize_t, pwrite, (int fd, const void* data, size_t size, off_t at), (fd, data, size, at))
FAULTY(ssize_t, pwrite64, (int fd, const void* data, size_t size, off64_t at), (fd, data, size, at))
FAULTY(int, fsync, (int fd), (fd))
FAULTY(int, fdatasync, (int fd), (fd))
FAULTY(int, ftruncate, (int fd, off_t size), (fd, size))
FAULTY(int, ftruncate64, (int fd, off64_t size), (fd, size))
FAULTY(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))

int posix_fallocate(int fd, off_t at, off_t size) {
  return fails_fd("posix_fallocate", fd) ? errno : REAL(posix_fallocate)(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
  return fails_fd("posix_fallocate64", fd) ? errno : REAL(posix_fallocate64)(fd, at, size);
}
int rename(const char* from, const char* to) {
  return fails("rename", to) ? -1 : REAL(rename)(from, to);
}
int mkdir(const char* path, mode_t mode) {
  return fails("mkdir", path) ? -1 : REAL(mkdir)(path, mode);
}

static mode_t mode_of(int flags, va_list arguments) {
  return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(arguments, int) : 0;
}
static int fails_open(const char* path, int flags) {
  return (flags & O_ACCMODE) != O_RDONLY && fails("open", path);
}
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return fails_open(path, flags) ? -1 : REAL(open)(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return fails_open(path, flags) ? -1 : REAL(open64)(path, flags, mode);
}

int flock(int fd, int operation) {
  const int error = (int)number("IO_FAULT_FLOCK");
  if (error == 0 || operation & 8 /* LOCK_UN */) return (int)syscall(SYS_flock, fd, operation);
  errno = error;
  return -1;
}
