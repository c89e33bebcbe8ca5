// data/chat_message.h: the messages of a conversation, as OpenAI's and DeepSeek's interfaces have them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hadal/core/json.h"

namespace hadal {

struct ToolCall {
  std::string id, name;
  std::string arguments;  // JSON, as the model wrote it
};

struct ChatMessage {
  enum class Role { kSystem, kUser, kAssistant, kTool };
  Role role = Role::kUser;
  std::optional<std::string> content = {};  // an assistant that only calls tools has none
  std::string reasoning_content = {};       // what the assistant thought before the content
  std::vector<ToolCall> tool_calls = {};    // of an assistant
  std::string tool_call_id = {};            // of a tool: the call that it answers
  std::string name = {};                    // of who speaks; a tool's own
  bool prefix = false;  // the last one, of an assistant: the answer goes on behind it
};

const char* role_name(ChatMessage::Role role);
// {"role", "content", ...}: what is empty is left out, but for the content, which is null.
Json message_json(const ChatMessage& message);
// FormatError "SOURCE: messages[3].role: ..." for what is no message. Also takes {"messages": [...]}, and
// arguments of calls that are objects instead of their text.
std::vector<ChatMessage> messages_from_json(const Json& json, const std::string& source);
// The list of {"type": "function", "function": {"name", ...}} that it is; FormatError for another.
Json tools_from_json(const Json& json, const std::string& source);

}  // namespace hadal
