#include "hadal/data/chat_template.h"

namespace hadal {
namespace {

constexpr const char* kUser = "<｜User｜>";
constexpr const char* kAssistant = "<｜Assistant｜>";

// An id that stands for the text as a whole, not a piece of vocabulary that happens to spell it.
std::optional<int32_t> added_token(const Tokenizer& tokenizer, const std::string& content) {
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (token.content == content) return token.id;
  }
  return std::nullopt;
}

}  // namespace

std::optional<ChatTemplate> ChatTemplate::find(const Tokenizer& tokenizer) {
  const std::optional<int32_t> user = added_token(tokenizer, kUser);
  const std::optional<int32_t> assistant = added_token(tokenizer, kAssistant);
  if (!user || !assistant) return std::nullopt;
  ChatTemplate result(tokenizer);
  result.user_ = *user;
  result.assistant_ = *assistant;
  return result;
}

std::vector<int32_t> ChatTemplate::render(std::span<const ChatMessage> messages,
                                          bool answer_next) const {
  std::vector<int32_t> ids;
  const auto append_text = [&](const std::string& text) {
    const std::vector<int32_t> more = tokenizer_->encode(text, /*added_tokens=*/false);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  if (const std::optional<int32_t> bos = tokenizer_->bos_id()) ids.push_back(*bos);
  std::string system;
  for (const ChatMessage& message : messages) {
    if (message.role != ChatMessage::Role::kSystem) continue;
    if (!system.empty()) system += "\n\n";
    system += message.text;
  }
  append_text(system);
  for (const ChatMessage& message : messages) {
    if (message.role == ChatMessage::Role::kUser) {
      ids.push_back(user_);
      append_text(message.text);
    } else if (message.role == ChatMessage::Role::kAssistant) {
      ids.push_back(assistant_);
      append_text(message.text);
      if (const std::optional<int32_t> eos = tokenizer_->eos_id()) ids.push_back(*eos);
    }
  }
  if (answer_next) ids.push_back(assistant_);
  return ids;
}

}  // namespace hadal
