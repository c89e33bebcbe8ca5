// The system's file calls as this program sees them: see fault_disk.h. Defined in the program itself,
// they come before the C library's for hadal and for libstdc++ alike.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tests/faults/fault_disk.h"

namespace {

using hadal::test::Call;
using hadal::test::Change;
using hadal::test::FaultDisk;
using Kind = Change::Kind;

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
#define REAL(name)                                           \
  (*[] {                                                     \
    static auto* const call = real<decltype(::name)>(#name); \
    return call;                                             \
  }())

std::string full(const std::string& path) {
  if (path.starts_with('/')) return path;
  char here[4096];
  return getcwd(here, sizeof here) ? std::string(here) + "/" + path : path;
}

std::string full_at(int folder, const char* path) {
  if (*path == '/' || folder == AT_FDCWD) return full(path);
  const std::string parent = FaultDisk::path_of(folder);
  return parent.empty() ? "" : parent + "/" + path;
}

// True, and errno is set: the call must fail.
bool fails(Call call, const std::string& path) {
  const int before = errno;
  const int reason = FaultDisk::fault(call, path);
  errno = reason == 0 ? before : reason;
  return reason != 0;
}

void record(Kind kind, const std::string& path, const std::string& other = "") {
  FaultDisk::changed({.kind = kind, .path = path, .other = other, .data = ""});
}

template <class Open>
int watched_open(const std::string& path, int flags, const Open& open_it) {
  if (!FaultDisk::watches(path)) return open_it();
  struct stat status {};
  const bool there = REAL(stat)(path.c_str(), &status) == 0;
  if (fails((flags & O_CREAT) != 0 ? Call::kCreate : Call::kOpen, path)) return -1;
  const int fd = open_it();
  if (fd < 0) return fd;
  FaultDisk::opened(fd, path);
  const int64_t handle = FaultDisk::handle_of(fd);
  const bool creates = !there && (flags & O_CREAT) != 0;
  // Every open is recorded, so that later changes by this handle find their file.
  FaultDisk::changed({.kind = creates || (flags & O_TRUNC) == 0 ? Kind::kCreate : Kind::kTruncate,
                      .path = path,
                      .other = "",
                      .handle = handle,
                      .data = ""});
  return fd;
}

template <class Write>
ssize_t watched_write(int fd, const void* data, size_t bytes, const Write& write_it) {
  const std::string path = FaultDisk::path_of(fd);
  if (path.empty()) return write_it(bytes);
  if (fails(Call::kWrite, path)) {
    // A full disk takes a part first.
    if (errno != ENOSPC || bytes < 2) return -1;
    bytes /= 2;
  }
  const bool appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
  const off_t offset = lseek(fd, 0, appends ? SEEK_END : SEEK_CUR);
  const ssize_t taken = write_it(bytes);
  if (taken > 0) {
    FaultDisk::changed(
        {.kind = Kind::kWrite,
         .path = path,
         .other = "",
         .handle = FaultDisk::handle_of(fd),
         .offset = offset,
         .data = std::string(static_cast<const char*>(data), static_cast<size_t>(taken))});
  }
  return taken;
}

int watched_sync(int fd) {
  const std::string path = FaultDisk::path_of(fd);
  if (path.empty()) return 0;
  if (fails(Call::kSync, path)) return -1;
  struct stat status {};
  REAL(fstat)(fd, &status);
  FaultDisk::changed({.kind = S_ISDIR(status.st_mode) ? Kind::kSyncFolder : Kind::kSyncFile,
                      .path = path,
                      .other = "",
                      .handle = FaultDisk::handle_of(fd),
                      .data = ""});
  return 0;
}

// Calls that look at a path, or change its name.
template <class Go>
int watched(Call call, const std::string& path, const Go& go) {
  return FaultDisk::watches(path) && fails(call, path) ? -1 : go();
}
template <class Go>
int watched(Call call, const std::string& path, Kind kind, const std::string& other, const Go& go) {
  if (!FaultDisk::watches(path)) return go();
  if (fails(call, path)) return -1;
  const int result = go();
  if (result == 0) record(kind, path, other);
  return result;
}

// Writing through stdio happens out of sight, inside the C library.
void refuse_stdio_writes(const std::string& path, const char* mode) {
  if (mode[0] == 'r' && std::string(mode).find('+') == std::string::npos) return;
  std::fprintf(stderr, "%s: written with fopen(\"%s\"); use AtomicFile or AppendFile\n",
               path.c_str(), mode);
  std::abort();
}

template <class Open>
FILE* watched_fopen(const char* path, const char* mode, const Open& open_it) {
  const std::string name = full(path);
  if (!FaultDisk::watches(name)) return open_it();
  refuse_stdio_writes(name, mode);
  if (fails(Call::kOpen, name)) return nullptr;
  FILE* const file = open_it();
  if (file) FaultDisk::opened(fileno(file), name);
  return file;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return watched_open(full(path), flags, [&] { return REAL(open)(path, flags, mode); });
}
int openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return watched_open(full_at(folder, path), flags,
                      [&] { return REAL(openat)(folder, path, flags, mode); });
}
FILE* fopen(const char* path, const char* mode) {
  return watched_fopen(path, mode, [&] { return REAL(fopen)(path, mode); });
}
FILE* fopen64(const char* path, const char* mode) {
  return watched_fopen(path, mode, [&] { return REAL(fopen64)(path, mode); });
}
int close(int fd) {
  const std::string path = FaultDisk::path_of(fd);
  if (path.empty()) return REAL(close)(fd);
  const bool failed = fails(Call::kClose, path);
  const int reason = errno;
  FaultDisk::closed(fd);
  const int result = REAL(close)(fd);  // gone in any case
  if (failed) errno = reason;
  return failed ? -1 : result;
}
ssize_t read(int fd, void* data, size_t bytes) {
  const std::string path = FaultDisk::path_of(fd);
  if (!path.empty() && fails(Call::kRead, path)) return -1;
  return REAL(read)(fd, data, bytes);
}
ssize_t write(int fd, const void* data, size_t bytes) {
  return watched_write(fd, data, bytes, [&](size_t n) { return REAL(write)(fd, data, n); });
}
ssize_t writev(int fd, const iovec* parts, int n) {
  if (FaultDisk::watches(fd)) std::abort();  // nobody does; watched_write would have to join them
  return REAL(writev)(fd, parts, n);
}
off_t lseek(int fd, off_t offset, int whence) noexcept {
  const std::string path = whence == SEEK_SET ? FaultDisk::path_of(fd) : "";
  if (!path.empty() && fails(Call::kSeek, path)) return -1;
  return REAL(lseek)(fd, offset, whence);
}
int fsync(int fd) { return watched_sync(fd); }
int fdatasync(int fd) { return watched_sync(fd); }
void* mmap(void* where, size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  const std::string path = FaultDisk::path_of(fd);
  if (!path.empty() && fails(Call::kMap, path)) return MAP_FAILED;
  return REAL(mmap)(where, bytes, protection, flags, fd, offset);
}
int flock(int fd, int operation) noexcept {
  const std::string path = FaultDisk::path_of(fd);
  if (!path.empty() && fails(Call::kLock, path)) return -1;
  return REAL(flock)(fd, operation);
}

int stat(const char* path, struct stat* status) noexcept {
  return watched(Call::kStat, full(path), [&] { return REAL(stat)(path, status); });
}
int lstat(const char* path, struct stat* status) noexcept {
  return watched(Call::kStat, full(path), [&] { return REAL(lstat)(path, status); });
}
int fstat(int fd, struct stat* status) noexcept {
  const std::string path = FaultDisk::path_of(fd);
  if (!path.empty() && fails(Call::kStat, path)) return -1;
  return REAL(fstat)(fd, status);
}
DIR* opendir(const char* path) {
  const std::string name = full(path);
  if (FaultDisk::watches(name) && fails(Call::kList, name)) return nullptr;
  DIR* const folder = REAL(opendir)(path);
  if (folder && FaultDisk::watches(name)) FaultDisk::opened(dirfd(folder), name);
  return folder;
}
dirent* readdir(DIR* folder) {
  const std::string path = FaultDisk::path_of(dirfd(folder));
  if (!path.empty() && fails(Call::kList, path)) return nullptr;
  return REAL(readdir)(folder);
}
int closedir(DIR* folder) {
  FaultDisk::closed(dirfd(folder));
  return REAL(closedir)(folder);
}

int mkdir(const char* path, mode_t mode) noexcept {
  return watched(Call::kMakeFolder, full(path), Kind::kMakeFolder, "",
                 [&] { return REAL(mkdir)(path, mode); });
}
int symlink(const char* target, const char* path) noexcept {
  return watched(Call::kLink, full(path), Kind::kLink, target,
                 [&] { return REAL(symlink)(target, path); });
}
int rename(const char* from, const char* to) noexcept {
  return watched(Call::kRename, full(from), Kind::kRename, full(to),
                 [&] { return REAL(rename)(from, to); });
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) noexcept {
  if ((flags & RENAME_EXCHANGE) != 0 && !FaultDisk::has_exchange()) {
    errno = EINVAL;
    return -1;
  }
  return watched(Call::kRename, full_at(a, from),
                 (flags & RENAME_EXCHANGE) != 0 ? Kind::kExchange : Kind::kRename, full_at(b, to),
                 [&] { return REAL(renameat2)(a, from, b, to, flags); });
}
int unlink(const char* path) noexcept {
  return watched(Call::kRemove, full(path), Kind::kRemove, "", [&] { return REAL(unlink)(path); });
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  return watched(Call::kRemove, full_at(folder, path), Kind::kRemove, "",
                 [&] { return REAL(unlinkat)(folder, path, flags); });
}
int rmdir(const char* path) noexcept {
  return watched(Call::kRemove, full(path), Kind::kRemove, "", [&] { return REAL(rmdir)(path); });
}
int remove(const char* path) noexcept {
  return watched(Call::kRemove, full(path), Kind::kRemove, "", [&] { return REAL(remove)(path); });
}

// The same calls under the names of their forms for large files: on this system, one and the same.
int open64(const char* path, int flags, ...) __attribute__((alias("open")));
int openat64(int folder, const char* path, int flags, ...) __attribute__((alias("openat")));
off_t lseek64(int fd, off_t offset, int whence) noexcept __attribute__((alias("lseek")));

}  // extern "C"
