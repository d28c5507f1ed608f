/* Makes the n-th call of the system fail, for tests of what is left behind (reliability.md, "fault injection"):
 *
 *   LD_PRELOAD=libfault_shim.so FAULT_CALL=fsync FAULT_N=3 FAULT_MODE=EIO program ...
 *
 * FAULT_CALL   open, write, fsync, rename, link, ftruncate, mkdir, or any: these together, in the order of the calls
 * FAULT_N      which of them, from 1 on; 0 only counts
 * FAULT_MODE   ENOSPC, EIO, EDQUOT, EACCES, EMFILE: the call fails so, and does nothing
 *              EINTR: fails so once, and works when it is tried again
 *              short: a write takes one byte less than half of what it was given (other calls are left alone)
 *              before, after: the process ends at once, without this call or right after it
 * FAULT_FROM=1 every later call fails too, as on a disk that stays full
 * FAULT_UNDER  only calls whose file lies below this folder count (descriptors are followed to their names)
 * FAULT_COUNT  a file that gets the number of calls at exit (written past the shim)
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

static const char* setting(const char* name) {
  const char* value = getenv(name);
  return value != NULL ? value : "";
}

static int is_under(const char* path) {
  const char* folder = setting("FAULT_UNDER");
  if (*folder == '\0') return 1;
  char full[PATH_MAX];
  if (path[0] != '/') {
    if (getcwd(full, sizeof full) == NULL || strlen(full) + strlen(path) + 2 > sizeof full) return 0;
    strcat(strcat(full, "/"), path);
    path = full;
  }
  return strncmp(path, folder, strlen(folder)) == 0;
}

static int descriptor_is_under(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return is_under(path);
}

enum { kPass, kFail, kShort, kAfter };

static int error_of(const char* mode) {
  if (strcmp(mode, "ENOSPC") == 0) return ENOSPC;
  if (strcmp(mode, "EIO") == 0) return EIO;
  if (strcmp(mode, "EDQUOT") == 0) return EDQUOT;
  if (strcmp(mode, "EACCES") == 0) return EACCES;
  if (strcmp(mode, "EMFILE") == 0) return EMFILE;
  if (strcmp(mode, "EINTR") == 0) return EINTR;
  return 0;
}

/* What is to become of this call; sets errno for kFail. */
static int fate(const char* call, int counts) {
  if (!counts) return kPass;
  const char* wanted = setting("FAULT_CALL");
  if (strcmp(wanted, "any") != 0 && strcmp(wanted, call) != 0) return kPass;
  const long number = atomic_fetch_add(&calls, 1) + 1, target = atol(setting("FAULT_N"));
  if (target <= 0 || (number != target && !(number > target && *setting("FAULT_FROM") == '1'))) return kPass;
  const char* mode = setting("FAULT_MODE");
  if (strcmp(mode, "before") == 0) _exit(99);
  if (strcmp(mode, "after") == 0) return kAfter;
  if (strcmp(mode, "short") == 0) return kShort;
  errno = error_of(mode);
  return errno != 0 ? kFail : kPass;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The body of a wrapper: `counts` says whether the call is one of those, `run` is the call itself. */
#define WRAP(type, call, counts, failed, run) \
  do {                                        \
    const int what = fate(call, counts);      \
    if (what == kFail) return failed;         \
    const type result = run;                  \
    if (what == kAfter) _exit(99);            \
    return result;                            \
  } while (0)

static int creates(int flags) { return (flags & (O_CREAT | O_WRONLY | O_RDWR)) != 0; }

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  WRAP(int, "open", creates(flags) && is_under(path), -1, REAL(open)(path, flags, mode));
}

int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  WRAP(int, "open", creates(flags) && is_under(path), -1, REAL(open64)(path, flags, mode));
}

ssize_t write(int fd, const void* bytes, size_t size) {
  const int what = fate("write", descriptor_is_under(fd));
  if (what == kFail) return -1;
  const ssize_t result = REAL(write)(fd, bytes, what == kShort && size > 3 ? size / 2 - 1 : size);
  if (what == kAfter) _exit(99);
  return result;
}

int fsync(int fd) { WRAP(int, "fsync", descriptor_is_under(fd), -1, REAL(fsync)(fd)); }
int fdatasync(int fd) { WRAP(int, "fsync", descriptor_is_under(fd), -1, REAL(fdatasync)(fd)); }
int rename(const char* from, const char* to) { WRAP(int, "rename", is_under(to), -1, REAL(rename)(from, to)); }
int link(const char* from, const char* to) { WRAP(int, "link", is_under(to), -1, REAL(link)(from, to)); }
int ftruncate(int fd, off_t size) { WRAP(int, "ftruncate", descriptor_is_under(fd), -1, REAL(ftruncate)(fd, size)); }
int ftruncate64(int fd, off64_t size) {
  WRAP(int, "ftruncate", descriptor_is_under(fd), -1, REAL(ftruncate64)(fd, size));
}
int mkdir(const char* path, mode_t mode) { WRAP(int, "mkdir", is_under(path), -1, REAL(mkdir)(path, mode)); }

__attribute__((destructor)) static void report(void) {
  const char* file = setting("FAULT_COUNT");
  if (*file == '\0') return;
  char text[32];
  const int length = snprintf(text, sizeof text, "%ld\n", atomic_load(&calls));
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0) return;
  if (syscall(SYS_write, fd, text, (size_t)length) < 0) text[0] = '\0';
  close(fd);
}
