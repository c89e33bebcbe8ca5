// data/chat_template.h: a conversation as the text and the token ids that a model was trained on.
//
// The model's folder says how, by a template in Jinja (hadal/jinja). A folder without one gets
// DeepSeek-V3's format, if its tokenizer has the role tokens:
//
//   BOS system [ <｜User｜> user <｜Assistant｜> answer EOS ]* <｜User｜> user <｜Assistant｜>
//
// Only what the template itself writes becomes control tokens: a message that spells one stays text.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hadal/data/chat_message.h"
#include "hadal/data/tokenizer.h"
#include "hadal/jinja/text.h"

namespace hadal {

namespace jinja {
class Template;
}

struct ChatOptions {
  // Ends with the mark behind which the assistant writes. A last message with `prefix` is gone on with
  // instead.
  bool answer_next = true;
  std::optional<bool> thinking = std::nullopt;  // for templates that ask; nothing: as they see fit
  Json tools = {};      // a list of {"type": "function", "function": {...}}, or null
  Json variables = {};  // more names for the template, an object; or null
};

class ChatTemplate {
 public:
  // The folder's own, else DeepSeek-V3's format; nothing where the tokenizer lacks its role tokens, as
  // a base model's may. `as_published`: DeepSeek-V3's own template with its mistakes in tool calls.
  // FormatError for a template that cannot be read. `tokenizer` outlives the template.
  static std::optional<ChatTemplate> load(const std::string& folder, const Tokenizer& tokenizer,
                                          bool as_published = false);
  static std::optional<ChatTemplate> deepseek_v3(const Tokenizer& tokenizer);
  // `source` names it in errors.
  ChatTemplate(const Tokenizer& tokenizer, std::string_view text, const std::string& source);

  // FormatError, with the template's line, where it refuses the conversation.
  jinja::Text text(std::span<const ChatMessage> messages, const ChatOptions& options) const;
  // `known`: ids that texts between control tokens keep, as answers were written.
  std::vector<int32_t> ids(const jinja::Text& text, const KnownIds& known = {}) const;

  // Whether it asks for `thinking`.
  bool knows_thinking() const { return knows_thinking_; }

 private:
  const Tokenizer* tokenizer_;
  std::shared_ptr<const jinja::Template> template_, with_tools_;
  bool knows_thinking_ = false;
};

// Whether an answer behind this text begins as a thought: it ends with <think>.
bool opens_thinking(const jinja::Text& prompt);

}  // namespace hadal
