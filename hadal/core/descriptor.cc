#include "hadal/core/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "hadal/core/error.h"

namespace hadal {
namespace {

template <class Call>
auto again_if_interrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace

Descriptor Descriptor::open(const std::string& path, int flags, unsigned mode) {
  Descriptor result;
  result.fd_ = again_if_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
  return result;
}

int64_t Descriptor::read(void* data, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = again_if_interrupted(
        [&] { return ::read(fd_, static_cast<char*>(data) + done, bytes - done); });
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return static_cast<int64_t>(done);
}

bool Descriptor::write(const void* data, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t taken = again_if_interrupted(
        [&] { return ::write(fd_, static_cast<const char*>(data) + done, bytes - done); });
    if (taken < 0) return false;
    done += static_cast<size_t>(taken);
  }
  return true;
}

bool Descriptor::sync() {
  return again_if_interrupted([&] { return ::fsync(fd_); }) == 0;
}

bool Descriptor::close() {
  const int fd = std::exchange(fd_, -1);
  // Linux has closed the file even if it reports EINTR.
  return fd < 0 || ::close(fd) == 0 || errno == EINTR;
}

bool means_absent(int reason) {
  return reason == ENOENT || reason == ENOTDIR || reason == ENAMETOOLONG;
}

void refuse_to_read(const std::string& path, const char* what, int reason) {
  const std::string line = concat(path, ": ", what, " (", std::strerror(reason), ")");
  if (means_absent(reason) || reason == EISDIR || reason == ELOOP) throw FormatError(line);
  const char* advice = "; try again, and check the disk if it stays so";
  if (reason == EACCES || reason == EPERM) advice = "; check its permissions";
  if (reason == EMFILE || reason == ENFILE) advice = "; raise the limit of open files (ulimit -n)";
  throw IoError(line + advice);
}

}  // namespace hadal
