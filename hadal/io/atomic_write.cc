#include "hadal/io/atomic_write.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/io/path_status.h"

namespace hadal {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 16;

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  if (is_folder(path)) refuse_io(path, "cannot be written", EISDIR);
  if (path_exists(path) && !is_regular_file(path)) {
    // A device or pipe (/dev/stdout) is written to, never replaced.
    file_ = Descriptor::open(path, O_WRONLY);
  } else {
    // The process id keeps two programs apart, O_EXCL two writers of one program.
    for (int attempt = 0; attempt < 100 && !file_; ++attempt) {
      temporary_ = concat(path, ".tmp-", ::getpid(), "-", attempt);
      file_ = Descriptor::open(temporary_, O_WRONLY | O_CREAT | O_EXCL, 0666);
      if (!file_ && errno != EEXIST) break;
    }
  }
  if (!file_) {
    const int reason = errno;
    temporary_.clear();
    refuse_io(path, "cannot be created", reason);
  }
}

AtomicFile::~AtomicFile() {
  file_.close();
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::flush() {
  if (!file_.write(buffer_.data(), buffer_.size())) refuse_io(path_, "cannot be written", errno);
  buffer_.clear();
}

void AtomicFile::write(const void* data, size_t bytes) {
  at_ += static_cast<int64_t>(bytes);
  if (buffer_.size() + bytes > kBufferBytes) flush();
  if (bytes <= kBufferBytes) {
    buffer_.append(static_cast<const char*>(data), bytes);
  } else if (!file_.write(data, bytes)) {
    refuse_io(path_, "cannot be written", errno);
  }
}

void AtomicFile::seek(int64_t offset) {
  if (offset == at_) return;  // as most are: many small tensors are one write
  flush();
  at_ = offset;
  if (::lseek(file_.get(), offset, SEEK_SET) < 0) refuse_io(path_, "cannot be written", errno);
}

void AtomicFile::finish() {
  if (!file_) return;
  flush();
  // Devices and pipes have nothing to sync; a regular file must reach the disk before its name
  // does.
  if (!temporary_.empty() && !file_.sync()) refuse_io(path_, "cannot be written", errno);
  if (!file_.close()) refuse_io(path_, "cannot be written", errno);
}

void AtomicFile::commit() {
  finish();
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    refuse_io(path_, "cannot be renamed", errno);
  temporary_.clear();
  sync_folder(folder_of(path_));
}

void write_file_atomically(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void copy_file_atomically(const std::string& from, const std::string& to) {
  Descriptor source = Descriptor::open(from, O_RDONLY);
  if (!source) refuse_to_read(from, "cannot be opened", errno);
  AtomicFile copy(to);
  std::vector<char> block(16 * kBufferBytes);
  for (;;) {
    const int64_t got = source.read(block.data(), block.size());
    if (got < 0) refuse_to_read(from, "cannot be read", errno);
    if (got == 0) break;
    copy.write(block.data(), static_cast<size_t>(got));
  }
  copy.commit();
}

void make_folders(const std::string& path) {
  std::vector<std::string> missing;
  for (std::string folder = path; !is_folder(folder) && folder != folder_of(folder);
       folder = folder_of(folder)) {
    missing.push_back(folder);
  }
  for (auto folder = missing.rbegin(); folder != missing.rend(); ++folder) {
    if (folder->ends_with('/')) continue;  // "a/b/" is "a/b", which comes before it
    if (::mkdir(folder->c_str(), 0777) != 0) {
      const int reason = errno;
      // Another process may have been faster.
      if (reason != EEXIST || !is_folder(*folder)) {
        refuse_io(*folder, "folder cannot be created", reason);
      }
    }
    // Its name must be on the disk as surely as what will lie in it.
    sync_folder(folder_of(*folder));
  }
}

void sync_folder(const std::string& path) {
  Descriptor folder = Descriptor::open(path, O_RDONLY | O_DIRECTORY);
  if (!folder) refuse_io(path, "folder cannot be opened", errno);
  // Some network file systems cannot sync folders (EINVAL): the rename is as safe as they make it.
  if (!folder.sync() && errno != EINVAL) refuse_io(path, "folder cannot be synced", errno);
}

void rename_path(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) refuse_io(to, "cannot be renamed into place", errno);
}

void remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) refuse_io(path, "cannot be removed", errno);
}

void replace_link(const std::string& path, const std::string& target) {
  const std::string temporary = path + ".new";
  remove_file(temporary);
  if (::symlink(target.c_str(), temporary.c_str()) != 0) {
    refuse_io(temporary, "link cannot be created", errno);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    refuse_io(path, "link cannot be renamed into place", reason);
  }
  sync_folder(folder_of(path));
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace hadal
