// infer/answer_stream.h: tokens of an answer to what was thought, what was said and what is called.
//
//   <think> thinking </think> content, calls (infer/tool_call_parser.h)
//
// The first mark may stand in the prompt already. Marks of a thought may be tokens of their own or be
// spelled over several; they are never shown. Inside of a thought nothing is called: marks of calls are
// text there.
#pragma once

#include "hadal/infer/text_stream.h"
#include "hadal/infer/tool_call_parser.h"

namespace hadal {

class AnswerStream {
 public:
  struct Piece {
    std::string thinking, content;
    std::vector<ToolCall> tool_calls;  // whole ones; behind the content
    bool malformed_call = false;       // some of the content was to be a call, and is none
  };

  // `inside`: the prompt ends with <think>. `calls_before`: of the conversation. Stop strings are
  // looked for in thoughts and words, not in calls. `tokenizer` outlives the stream.
  AnswerStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings, bool inside,
               int64_t calls_before = 0);

  // What may be shown now, without the line breaks beside the marks.
  Piece push(int32_t token);
  Piece finish();
  bool stopped() const { return stream_.stopped(); }

  // Everything so far, as it was written but for the marks: what a template puts into the history. No
  // content is none where something is called.
  ChatMessage message() const;
  bool malformed_call() const { return calls_.malformed(); }

 private:
  enum class Part { kBegin, kThinking, kContent };
  void take(const std::string& more, bool last, Piece& piece);
  void take(ToolCallParser::Found found, Piece& piece);

  TextStream stream_;
  ToolCallParser calls_;
  std::vector<ToolCall> tool_calls_;
  Part part_;
  std::string held_, thinking_, content_;
  bool thinking_shown_ = false, content_shown_ = false;
};

}  // namespace hadal
