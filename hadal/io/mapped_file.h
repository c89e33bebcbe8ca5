// io/mapped_file.h: a file as read-only memory. Closing is the destructor's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace hadal {

class MappedFile {
 public:
  // FormatError if the file is not there or not a regular file, IoError if the system cannot read it.
  // An empty file maps to nothing.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // What the system shall expect: in front to back order it reads far ahead of a page that is asked for,
  // which for a few bytes here and there would read most of the file.
  enum class Reading { kInOrder, kScattered };
  void expect(Reading reading) const;
  const std::string& path() const { return path_; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

}  // namespace hadal
