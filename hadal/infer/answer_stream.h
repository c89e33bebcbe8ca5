// infer/answer_stream.h: tokens of an answer to what was thought and what was said.
//
//   <think> thinking </think> content
//
// The first mark may stand in the prompt already. Marks may be tokens of their own or be spelled over
// several; they are never shown.
#pragma once

#include "hadal/infer/text_stream.h"

namespace hadal {

class AnswerStream {
 public:
  struct Piece {
    std::string thinking, content;
  };

  // `inside`: the prompt ends with <think>. `tokenizer` outlives the stream.
  AnswerStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings, bool inside);

  // What may be shown now, without the line breaks beside the marks.
  Piece push(int32_t token);
  Piece finish();
  bool stopped() const { return stream_.stopped(); }

  // Everything so far, as it was written but for the marks: what a template puts into the history.
  const std::string& thinking() const { return thinking_; }
  const std::string& content() const { return content_; }

 private:
  enum class Part { kBegin, kThinking, kContent };
  Piece take(const std::string& more, bool last);

  TextStream stream_;
  Part part_;
  std::string held_, thinking_, content_;
  bool thinking_shown_ = false, content_shown_ = false;
};

}  // namespace hadal
