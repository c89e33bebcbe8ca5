// io/atomic_write.h: a half-written file never replaces a good one: write to a sibling temporary
// name, flush, fsync, rename, fsync the folder. IoError names the path and the system's reason
// (full disk, unwritable folder); the temporary file is removed on failure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hadal/core/descriptor.h"

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
  void flush();
  std::string path_, temporary_;
  std::string buffer_;
  int64_t at_ = 0;  // where the next write goes
  Descriptor file_;
};

void write_file_atomically(const std::string& path, std::string_view text);
// Read block by block: of any size. FormatError if there is no file `from`.
void copy_file_atomically(const std::string& from, const std::string& to);
void make_folders(const std::string& path);  // like mkdir -p, their names on the disk; IoError
void sync_folder(const std::string& path);   // fsync of a folder after renames inside it
// Of a file or folder, in place of a file at `to`. Lasts through a power cut only after sync_folder.
void rename_path(const std::string& from, const std::string& to);
void remove_file(const std::string& path);  // IoError unless it is gone, or was never there
// A symbolic link to `target`, on the disk, in place of an older one: there is always one of them.
void replace_link(const std::string& path, const std::string& target);
std::string folder_of(const std::string& path);  // the folder it lies in: "." for a bare name

}  // namespace hadal
