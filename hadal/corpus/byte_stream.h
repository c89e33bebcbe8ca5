// corpus/byte_stream.h: the bytes of a file, decompressed on the way. The kind is decided by the
// first bytes (gzip 1F 8B, zstd 28 B5 2F FD), not by the name. Memory is a few buffers, whatever
// the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace hadal {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Up to `capacity` bytes; 0 only at the end. A cut or corrupt archive is a FormatError.
  virtual size_t read(char* buffer, size_t capacity) = 0;
  virtual bool is_archive() const { return false; }  // decompressed on the way
};

std::unique_ptr<ByteStream> open_byte_stream(const std::string& path);

// Appends the rest of a stream. FormatError naming `path` once `text` is past `max_bytes`: a few
// kilobytes of archive can decompress to terabytes, so nothing is read without a bound.
void append_rest(ByteStream& stream, const std::string& path, int64_t max_bytes, std::string& text);

// Lines of a stream, each at most `max_bytes` long (FormatError), without their line ends.
class LineReader {
 public:
  LineReader(std::unique_ptr<ByteStream> stream, std::string path, int64_t max_bytes)
      : stream_(std::move(stream)), path_(std::move(path)), max_bytes_(max_bytes) {}
  bool next(std::string& line);
  int64_t line_number() const { return line_number_; }  // of the line returned last, from 1

 private:
  std::unique_ptr<ByteStream> stream_;
  std::string path_;
  int64_t max_bytes_;
  int64_t line_number_ = 0;
  std::string buffer_;
  size_t at_ = 0;
  bool at_end_ = false;
};

}  // namespace hadal
