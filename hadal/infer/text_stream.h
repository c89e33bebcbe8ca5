// infer/text_stream.h: tokens to text that may be shown at once.
//
// Two things are held back: bytes of an unfinished UTF-8 character, and text that may turn out to
// be the beginning of a stop string (which may span many tokens and is never shown).
#pragma once

#include <string>
#include <vector>

#include "hadal/data/tokenizer.h"

namespace hadal {

class TextStream {
 public:
  // `tokenizer` outlives the stream. Special tokens add no text, but for those of `shown`. Empty stop
  // strings are ignored.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings,
             std::vector<int32_t> shown = {});

  std::string push(int32_t token);  // what may be shown now
  std::string finish();             // the rest; nothing after a stop string
  bool stopped() const { return stopped_; }
  const std::string& text() const { return shown_; }  // everything shown so far

 private:
  std::string show(const std::string& more);
  bool is_silent(int32_t token) const;

  const Tokenizer& tokenizer_;
  std::vector<std::string> stop_strings_;
  std::vector<int32_t> shown_tokens_;
  Utf8Stream utf8_;
  std::string held_, shown_;
  bool stopped_ = false;
};

}  // namespace hadal
