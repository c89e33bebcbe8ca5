#include "hadal/io/atomic_write.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "hadal/core/error.h"

namespace hadal {
namespace {

[[noreturn]] void refuse(const std::string& path, const char* what, int reason) {
  const char* advice = "";
  if (reason == ENOSPC || reason == EDQUOT) advice = "; free some space or choose another disk";
  if (reason == EFBIG) advice = "; raise the file size limit (ulimit -f)";
  if (reason == EACCES || reason == EROFS) advice = "; choose a folder that you may write to";
  throw IoError(concat(path, ": ", what, " (", std::strerror(reason), ")", advice));
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) refuse(path, "cannot be written", EISDIR);
  int fd = -1;
  if (exists && !S_ISREG(status.st_mode)) {
    // A device or pipe (/dev/stdout) is written to, never replaced.
    fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    // The process id keeps two programs apart, O_EXCL two writers of one program.
    for (int attempt = 0; attempt < 100 && fd < 0; ++attempt) {
      temporary_ = concat(path, ".tmp-", ::getpid(), "-", attempt);
      fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd < 0 && errno != EEXIST) break;
    }
  }
  if (fd < 0) {
    const int reason = errno;
    temporary_.clear();
    refuse(path, "cannot be created", reason);
  }
  file_ = ::fdopen(fd, "wb");
  if (!file_) {
    const int reason = errno;
    ::close(fd);
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    refuse(path, "cannot be created", reason);
  }
}

AtomicFile::~AtomicFile() {
  if (file_) std::fclose(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  if (bytes > 0 && std::fwrite(data, 1, bytes, file_) != bytes) {
    refuse(path_, "cannot be written", errno);
  }
}

void AtomicFile::seek(int64_t offset) {
  if (::fseeko(file_, offset, SEEK_SET) != 0) refuse(path_, "cannot be written", errno);
}

void AtomicFile::finish() {
  if (!file_) return;
  if (std::fflush(file_) != 0) refuse(path_, "cannot be written", errno);
  // Devices and pipes have nothing to sync; a regular file must reach the disk before its name
  // does.
  if (!temporary_.empty() && ::fsync(::fileno(file_)) != 0) {
    refuse(path_, "cannot be written", errno);
  }
  std::FILE* file = std::exchange(file_, nullptr);
  if (std::fclose(file) != 0) refuse(path_, "cannot be written", errno);
}

void AtomicFile::commit() {
  finish();
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) refuse(path_, "cannot be renamed", errno);
  temporary_.clear();
  sync_folder(folder_of(path_));
}

void write_file_atomically(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) refuse(path, "folder cannot be created", error.value());
}

void sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) refuse(path, "folder cannot be opened", errno);
  const int result = ::fsync(fd);
  const int reason = errno;
  ::close(fd);
  // Some network file systems cannot sync folders (EINVAL): the rename is as safe as they make it.
  if (result != 0 && reason != EINVAL) refuse(path, "folder cannot be synced", reason);
}

}  // namespace hadal
