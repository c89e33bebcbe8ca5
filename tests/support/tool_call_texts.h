// tests/support/tool_call_texts.h: answers that call tools, as the models of the family write them, and
// templates that repeat them so.
#pragma once

#include <string>
#include <vector>

#include "hadal/data/tokenizer.h"

namespace hadal::test {

struct ToolFormat {
  const char* name;
  const char* calls[2];               // in one section, each with its marks
  const char *begin, *between, *end;  // of a section, and between calls
  const char* chat_template;          // nothing: DeepSeek-V3's format
  const char* ids[2];                 // of the first two calls of a conversation
};

// Of both calls: land {"of": "rain"} and hat {}.
const std::vector<ToolFormat>& tool_formats();
std::string section(const ToolFormat& format);  // that holds both

// The small tokenizer of tokenizer_folder() with the marks of thoughts and of Kimi-K2 too.
Tokenizer tokenizer_with_all_marks();
std::string tokenizer_json_with_all_marks();

// As a model may write it: marks as their tokens, the words between them letter by letter.
std::vector<int32_t> spelled_ids(const Tokenizer& tokenizer, const std::string& text);

}  // namespace hadal::test
