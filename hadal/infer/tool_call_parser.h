// infer/tool_call_parser.h: the tool calls of an answer, out of its tokens.
//
// A section holds calls, a call holds a head and a body. Between the marks stands
//
//   DeepSeek-V3, R1   function  and  NAME\n```json\nARGUMENTS\n```    calls are a line break apart
//   DeepSeek-V3.1     NAME      and  ARGUMENTS                        the same marks
//   Kimi-K2           functions.NAME:N, which is the call's id, and  ARGUMENTS
//
// Marks are added tokens, told by their ids: a text that spells one out of other tokens is text.
// ARGUMENTS are kept as they were written, so that a template which repeats them gives the same tokens.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/data/chat_message.h"
#include "hadal/infer/text_stream.h"

namespace hadal {

class ToolCallParser {
 public:
  // Calls whose format has no ids get call_N, from `calls_before` + 1 on. `tokenizer` outlives the
  // parser.
  explicit ToolCallParser(const Tokenizer& tokenizer, int64_t calls_before = 0);

  // Whether the token is a mark or stands in a section. All else is none of the parser's.
  bool takes(int32_t token) const { return place_ != Place::kText || mark_of(token); }

  // A call comes when its end does. What is no call (cut short, arguments that are no JSON object,
  // marks where none belongs) comes back as the text that it is, marks spelled: nothing is lost but
  // white space between calls.
  struct Found {
    std::string text;
    std::vector<ToolCall> calls;
  };
  Found push(int32_t token);                     // REQUIRES takes(token)
  Found finish();                                // the answer ends here
  bool malformed() const { return malformed_; }  // some text came back

 private:
  enum class Mark { kSection, kCall, kBody, kKimiBody, kCallEnd, kSectionEnd };
  enum class Place { kText, kSection, kHead, kBody };
  struct MarkToken {
    int32_t id;
    Mark mark;
  };
  static std::vector<MarkToken> marks_in(const Tokenizer& tokenizer);
  std::optional<Mark> mark_of(int32_t token) const;
  void add(const std::string& text);
  bool only_space() const;  // since the last mark
  std::optional<ToolCall> read_call() const;
  void give_back(Found& found);
  void open(Mark mark, Found& found);
  void end_call(Found& found);
  void end_section(Found& found);

  const Tokenizer& tokenizer_;
  std::vector<MarkToken> marks_;
  TextStream words_;  // between marks
  int64_t n_calls_;   // of the conversation
  Place place_ = Place::kText;
  bool kimi_ = false, section_has_calls_ = false, malformed_ = false;
  std::string head_, field_;  // of the call; what stands behind the last mark
  std::string pending_;       // all that is neither part of a call nor given back, marks spelled
};

}  // namespace hadal
