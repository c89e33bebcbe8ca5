#include "hadal/corpus/converted_stream.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"

namespace hadal {
namespace {

// As iconv spells it: "Latin-1" -> "latin1". Empty for UTF-8.
std::string iconv_name(const std::string& encoding) {
  std::string name;
  for (const char c : encoding) {
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (name == "utf-8" || name == "utf8") return "";
  return name.starts_with("latin-") ? "latin" + name.substr(6) : name;
}

// iconv's own suffixes ("//IGNORE") would hide what cannot be converted.
bool is_plain_name(const std::string& name) {
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == ':';
  });
}

// Bytes of an encoding, in parts of any size, to UTF-8.
class Converter {
 public:
  explicit Converter(const std::string& encoding) {
    const std::string name = iconv_name(encoding);
    if (is_plain_name(name)) state_ = iconv_open("UTF-8", name.c_str());
    require(state_ != kNoState, {.field = "encoding",
                                 .problem = "no such encoding",
                                 .found = in_quotes(encoding),
                                 .expected = "a name that iconv(1) knows: utf-8, latin-1, cp1252",
                                 .advice = "`iconv -l` lists them all"});
  }
  ~Converter() { iconv_close(state_); }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;

  // Appends to `out` and returns how many bytes of `in` were read; a character that `in` cuts is
  // left, unless it is the last part.
  size_t convert(std::string_view in, bool last, std::string& out) {
    char* from = const_cast<char*>(in.data());  // iconv's signature; it does not write there
    size_t left = in.size();
    std::array<char, 4096> part;
    while (left > 0) {
      char* to = part.data();
      size_t room = part.size();
      const bool done = iconv(state_, &from, &left, &to, &room) != static_cast<size_t>(-1);
      const int why = errno;
      out.append(part.data(), to);
      if (done || why == E2BIG) continue;
      if (why == EINVAL && !last) break;
      out += '\xFF';
      ++from;
      --left;
    }
    return in.size() - left;
  }

 private:
  inline static const auto kNoState = reinterpret_cast<iconv_t>(-1);
  iconv_t state_ = kNoState;
};

class ConvertedStream final : public ByteStream {
 public:
  ConvertedStream(std::unique_ptr<ByteStream> bytes, const std::string& encoding)
      : bytes_(std::move(bytes)), converter_(encoding) {}

  size_t read(char* buffer, size_t capacity) override {
    while (at_ == text_.size()) {
      if (at_end_) return 0;
      refill();
    }
    const size_t n = std::min(capacity, text_.size() - at_);
    std::memcpy(buffer, text_.data() + at_, n);
    at_ += n;
    return n;
  }
  bool is_archive() const override { return bytes_->is_archive(); }

 private:
  void refill() {
    constexpr size_t kPartBytes = size_t{1} << 16;
    const size_t held = unread_.size();
    unread_.resize(held + kPartBytes);
    const size_t got = bytes_->read(unread_.data() + held, kPartBytes);
    unread_.resize(held + got);
    at_end_ = got == 0;
    text_.clear();
    at_ = 0;
    unread_.erase(0, converter_.convert(unread_, at_end_, text_));
  }

  std::unique_ptr<ByteStream> bytes_;
  Converter converter_;
  std::string unread_, text_;
  size_t at_ = 0;
  bool at_end_ = false;
};

}  // namespace

void check_encoding(const std::string& encoding) {
  if (!iconv_name(encoding).empty()) const Converter known(encoding);
}

std::unique_ptr<ByteStream> open_text_stream(const std::string& path, const std::string& encoding) {
  auto bytes = open_byte_stream(path);
  if (iconv_name(encoding).empty()) return bytes;
  return std::make_unique<ConvertedStream>(std::move(bytes), encoding);
}

std::string converted_to_utf8(std::string bytes, const std::string& encoding) {
  if (iconv_name(encoding).empty()) return bytes;
  std::string text;
  Converter(encoding).convert(bytes, true, text);
  return text;
}

}  // namespace hadal
