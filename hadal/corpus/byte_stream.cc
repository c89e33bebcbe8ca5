#include "hadal/corpus/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <vector>

#include "hadal/core/descriptor.h"
#include "hadal/core/error.h"
#include "hadal/core/number_text.h"

namespace hadal {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 16;
// A zstd frame may ask for a window of up to 2 GB; 128 MB is what the zstd tool accepts by default.
constexpr int kMaxWindowLog = 27;

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(const std::string& path)
      : path_(path), file_(Descriptor::open(path, O_RDONLY | O_NONBLOCK)) {
    struct stat info {};
    if (!file_ || fstat(file_.get(), &info) != 0) refuse_to_read(path, "cannot be opened", errno);
    if (!S_ISREG(info.st_mode)) {
      throw FormatError(concat(path, ": not a regular file; give a file or a folder of files"));
    }
  }
  size_t read(char* buffer, size_t capacity) override {
    const int64_t got = file_.read(buffer, capacity);
    if (got < 0) refuse_to_read(path_, "reading failed", errno);
    return static_cast<size_t>(got);
  }
  void rewind_to_start() {
    if (lseek(file_.get(), 0, SEEK_SET) < 0) refuse_to_read(path_, "reading failed", errno);
  }

 private:
  std::string path_;
  Descriptor file_;
};

class GzipStream final : public ByteStream {
 public:
  GzipStream(std::unique_ptr<PlainStream> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)), input_(kBufferBytes) {
    if (inflateInit2(&state_, 15 + 16) != Z_OK) throw IoError(path_ + ": zlib has no memory");
  }
  ~GzipStream() override { inflateEnd(&state_); }
  size_t read(char* buffer, size_t capacity) override {
    state_.next_out = reinterpret_cast<Bytef*>(buffer);
    state_.avail_out = static_cast<uInt>(std::min(capacity, kBufferBytes));
    const uInt wanted = state_.avail_out;
    while (state_.avail_out == wanted) {
      if (state_.avail_in == 0) {
        state_.next_in = reinterpret_cast<Bytef*>(input_.data());
        state_.avail_in = static_cast<uInt>(file_->read(input_.data(), input_.size()));
        if (state_.avail_in == 0) {
          if (member_done_) return 0;
          throw FormatError(path_ + ": the gzip data is cut short; fetch the file again");
        }
      }
      // A gzip file may be several members, one after another.
      if (member_done_) {
        inflateReset(&state_);
        member_done_ = false;
      }
      const int status = inflate(&state_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        member_done_ = true;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        throw FormatError(concat(path_, ": the gzip data is corrupt (",
                                 state_.msg ? state_.msg : "unknown block",
                                 "); fetch the file again"));
      }
    }
    return wanted - state_.avail_out;
  }
  bool is_archive() const override { return true; }

 private:
  std::unique_ptr<PlainStream> file_;
  std::string path_;
  std::vector<char> input_;
  z_stream state_{};
  bool member_done_ = false;
};

class ZstdStream final : public ByteStream {
 public:
  ZstdStream(std::unique_ptr<PlainStream> file, std::string path)
      : file_(std::move(file)),
        path_(std::move(path)),
        input_(kBufferBytes),
        state_(ZSTD_createDStream()) {
    if (!state_) throw IoError(path_ + ": zstd has no memory");
    ZSTD_DCtx_setParameter(state_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  size_t read(char* buffer, size_t capacity) override {
    ZSTD_outBuffer out{buffer, capacity, 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size && !pending_output_) {
        in_ = {input_.data(), file_->read(input_.data(), input_.size()), 0};
        if (in_.size == 0) {
          if (frame_done_) return 0;
          throw FormatError(path_ + ": the zstd data is cut short; fetch the file again");
        }
      }
      const size_t status = ZSTD_decompressStream(state_.get(), &out, &in_);
      if (ZSTD_isError(status)) {
        throw FormatError(concat(path_, ": the zstd data is corrupt (", ZSTD_getErrorName(status),
                                 "); fetch the file again"));
      }
      frame_done_ = status == 0;
      // A full output buffer may leave decoded bytes inside the decoder, to be asked for again.
      pending_output_ = !frame_done_ && out.pos == out.size;
    }
    return out.pos;
  }
  bool is_archive() const override { return true; }

 private:
  struct Free {
    void operator()(ZSTD_DStream* state) const { ZSTD_freeDStream(state); }
  };
  std::unique_ptr<PlainStream> file_;
  std::string path_;
  std::vector<char> input_;
  std::unique_ptr<ZSTD_DStream, Free> state_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool frame_done_ = false, pending_output_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> open_byte_stream(const std::string& path) {
  auto file = std::make_unique<PlainStream>(path);
  unsigned char magic[4] = {};
  const size_t got = file->read(reinterpret_cast<char*>(magic), sizeof(magic));
  file->rewind_to_start();
  if (got >= 2 && magic[0] == 0x1F && magic[1] == 0x8B) {
    return std::make_unique<GzipStream>(std::move(file), path);
  }
  if (got == 4 && magic[0] == 0x28 && magic[1] == 0xB5 && magic[2] == 0x2F && magic[3] == 0xFD) {
    return std::make_unique<ZstdStream>(std::move(file), path);
  }
  return file;
}

void append_rest(ByteStream& stream, const std::string& path, int64_t max_bytes,
                 std::string& text) {
  std::vector<char> buffer(kBufferBytes);
  size_t got = 0;
  do {
    if (static_cast<int64_t>(text.size()) > max_bytes) {
      throw FormatError(concat(path, ": one document is too long (found more than ",
                               human_bytes(static_cast<double>(max_bytes)),
                               "); split the file or raise max_document_bytes"));
    }
    got = stream.read(buffer.data(), buffer.size());
    text.append(buffer.data(), got);
  } while (got > 0);
}

bool LineReader::next(std::string& line) {
  size_t searched = at_;
  for (;;) {
    const size_t end = buffer_.find('\n', searched);
    const size_t length = (end == std::string::npos ? buffer_.size() : end) - at_;
    if (static_cast<int64_t>(length) > max_bytes_) {
      throw FormatError(concat(path_, ": line ", line_number_ + 1, ": too long (found more than ",
                               human_bytes(static_cast<double>(max_bytes_)),
                               "); raise max_document_bytes"));
    }
    if (end != std::string::npos || (at_end_ && at_ < buffer_.size())) {
      line.assign(buffer_, at_, length);
      if (!line.empty() && line.back() == '\r') line.pop_back();
      at_ = end == std::string::npos ? buffer_.size() : end + 1;
      ++line_number_;
      return true;
    }
    if (at_end_) return false;
    buffer_.erase(0, at_);
    at_ = 0;
    searched = buffer_.size();
    const size_t old = buffer_.size();
    buffer_.resize(old + kBufferBytes);
    const size_t got = stream_->read(buffer_.data() + old, kBufferBytes);
    buffer_.resize(old + got);
    at_end_ = got == 0;
  }
}

}  // namespace hadal
