#include "hadal/infer/conversation.h"

#include <algorithm>

#include "hadal/core/utf8.h"

namespace hadal {

using Role = ChatMessage::Role;

Conversation::Conversation(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat_template,
                           const std::string& system)
    : tokenizer_(tokenizer), chat_template_(std::move(chat_template)) {
  set_system(system);
}

void Conversation::set_system(const std::string& text) {
  std::erase_if(messages_, [](const ChatMessage& m) { return m.role == Role::kSystem; });
  if (!text.empty()) messages_.insert(messages_.begin(), {.role = Role::kSystem, .content = text});
}

void Conversation::add_user(const std::string& text) {
  add({.role = Role::kUser, .content = text});
}

void Conversation::add_answer(ChatMessage answer, const std::vector<int32_t>& tokens) {
  std::vector<int32_t> run;  // up to the next added token
  const auto keep_run = [&] {
    const std::string text = repair_utf8(tokenizer_.decode(run));  // as messages are
    if (!run.empty() && tokenizer_.encode(text, /*added_tokens=*/false) != run) {
      written_.insert_or_assign(text, run);
    }
    run.clear();
  };
  const std::vector<AddedToken>& added = tokenizer_.added_tokens();
  for (const int32_t token : tokens) {
    const auto is_it = [token](const AddedToken& a) { return a.id == token; };
    if (std::any_of(added.begin(), added.end(), is_it)) {
      keep_run();
    } else {
      run.push_back(token);
    }
  }
  keep_run();
  add(std::move(answer));
}

std::optional<ToolCall> Conversation::waiting_call() const {
  std::vector<std::string> answered;
  for (auto m = messages_.rbegin(); m != messages_.rend() && m->role != Role::kUser; ++m) {
    if (m->role == Role::kTool) answered.push_back(m->tool_call_id);
    if (m->role != Role::kAssistant) continue;
    for (const ToolCall& call : m->tool_calls) {
      if (std::find(answered.begin(), answered.end(), call.id) == answered.end()) return call;
    }
    break;
  }
  return std::nullopt;
}

bool Conversation::drop_answer() {
  const auto last = std::find_if(messages_.rbegin(), messages_.rend(),
                                 [](const ChatMessage& m) { return m.role == Role::kUser; });
  if (last == messages_.rend()) return false;
  messages_.erase(last.base(), messages_.end());
  return true;
}

std::optional<std::string> Conversation::drop_turn() {
  if (!drop_answer()) return std::nullopt;
  std::string text = messages_.back().content.value_or("");
  messages_.pop_back();
  return text;
}

void Conversation::reset() {
  std::erase_if(messages_, [](const ChatMessage& m) { return m.role != Role::kSystem; });
  written_.clear();
}

Conversation::Prompt Conversation::prompt() const {
  if (chat_template_) {
    const jinja::Text text = chat_template_->text(messages_, options_);
    int64_t n_tool_calls = 0;
    for (const ChatMessage& message : messages_) n_tool_calls += std::ssize(message.tool_calls);
    return {chat_template_->ids(text, written_), opens_thinking(text), n_tool_calls};
  }
  std::string text;
  for (const ChatMessage& message : messages_) {
    // What was typed ends with Enter; what the model wrote goes on where the next line begins.
    if (!text.empty() && message.role != Role::kAssistant) text += '\n';
    text += message.content.value_or("");
  }
  std::vector<int32_t> ids = tokenizer_.encode(text, /*added_tokens=*/false);
  if (tokenizer_.add_bos() && tokenizer_.bos_id()) ids.insert(ids.begin(), *tokenizer_.bos_id());
  return {.ids = std::move(ids)};
}

}  // namespace hadal
