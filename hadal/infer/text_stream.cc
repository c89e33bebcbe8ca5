#include "hadal/infer/text_stream.h"

#include <algorithm>

namespace hadal {
namespace {

// Length of the longest suffix of `text` that is a proper prefix of `stop`.
size_t unfinished(const std::string& text, const std::string& stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.compare(text.size() - n, n, stop, 0, n) == 0) return n;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings,
                       std::vector<int32_t> shown)
    : tokenizer_(tokenizer),
      stop_strings_(std::move(stop_strings)),
      shown_tokens_(std::move(shown)) {
  std::erase_if(stop_strings_, [](const std::string& stop) { return stop.empty(); });
}

std::string TextStream::show(const std::string& more) {
  held_ += more;
  size_t n_shown = held_.size();
  for (const std::string& stop : stop_strings_) n_shown = std::min(n_shown, held_.find(stop));
  stopped_ = n_shown < held_.size();
  if (!stopped_) {
    size_t n_held = 0;
    for (const std::string& stop : stop_strings_) {
      n_held = std::max(n_held, unfinished(held_, stop));
    }
    n_shown -= n_held;
  }
  std::string result = held_.substr(0, n_shown);
  held_.erase(0, n_shown);
  shown_ += result;
  return result;
}

bool TextStream::is_silent(int32_t token) const {
  return tokenizer_.is_special(token) &&
         std::find(shown_tokens_.begin(), shown_tokens_.end(), token) == shown_tokens_.end();
}

std::string TextStream::push(int32_t token) {
  if (stopped_ || is_silent(token)) return {};
  return show(utf8_.push(tokenizer_.token_bytes(token)));
}

std::string TextStream::finish() {
  if (stopped_) return {};
  std::string result = show(utf8_.finish());
  if (stopped_) return result;
  shown_ += held_;
  result += held_;
  held_.clear();
  return result;
}

}  // namespace hadal
