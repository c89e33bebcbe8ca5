// infer/conversation.h: the turns of a chat as a prompt.
//
// With a chat template (data/chat_template.h) the prompt is what that makes of the messages; what
// becomes of past thoughts is the template's affair. A base model has none: its conversation is one
// growing text, and the model writes on where it ends.
//
// A prompt repeats earlier answers with the very ids they were written with, also where encoding their
// text would give others, so that a cache knows them again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/data/chat_template.h"

namespace hadal {

class Conversation {
 public:
  // `tokenizer` outlives the conversation. `system` may be empty.
  Conversation(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat_template,
               const std::string& system);

  bool has_roles() const { return chat_template_.has_value(); }
  bool knows_thinking() const { return chat_template_ && chat_template_->knows_thinking(); }
  void set_system(const std::string& text);  // "" takes it away
  void set_thinking(bool thinking) { options_.thinking = thinking; }
  void set_tools(Json tools) { options_.tools = std::move(tools); }

  void add(ChatMessage message) { messages_.push_back(std::move(message)); }
  void add_user(const std::string& text);
  // `tokens`: as the model wrote it.
  void add_answer(ChatMessage answer, const std::vector<int32_t>& tokens);
  // The first call of the last answer that has no result yet, if nothing but results follows it.
  std::optional<ToolCall> waiting_call() const;
  // Everything behind the last message of the user goes, so that it can be answered anew. False if
  // there is none.
  bool drop_answer();
  // So does that message: what it said.
  std::optional<std::string> drop_turn();
  void reset();  // only the system message stays
  void load(std::vector<ChatMessage> messages) { messages_ = std::move(messages); }

  struct Prompt {
    std::vector<int32_t> ids;     // ends where the answer begins
    bool opens_thinking = false;  // the answer begins inside of a thought
    int64_t n_tool_calls = 0;     // in its messages
  };
  Prompt prompt() const;
  const std::vector<ChatMessage>& messages() const { return messages_; }

 private:
  const Tokenizer& tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  ChatOptions options_;
  std::vector<ChatMessage> messages_;
  KnownIds written_;  // texts of answers whose ids are not those that encoding gives
};

}  // namespace hadal
