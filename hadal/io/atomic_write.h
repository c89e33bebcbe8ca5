// io/atomic_write.h: a half-written file never replaces a good one: write to a sibling temporary
// name, flush, fsync, rename, fsync the folder. IoError names the path and the system's reason
// (full disk, unwritable folder); the temporary file is removed on failure.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace hadal {

class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();  // without commit(): removes the temporary
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void seek(int64_t offset);  // the next write goes there; REQUIRES a regular file
  void finish();              // everything is on the disk, still under the temporary name
  void commit();              // finish(), then the file appears under its name

 private:
  std::string path_, temporary_;
  std::FILE* file_ = nullptr;
};

void write_file_atomically(const std::string& path, std::string_view text);
void make_folders(const std::string& path);  // like mkdir -p; IoError
void sync_folder(const std::string& path);   // fsync of a folder after renames inside it

}  // namespace hadal
