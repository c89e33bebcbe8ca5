#include "hadal/data/chat_message.h"

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"

namespace hadal {
namespace {

constexpr const char* kRoleNames[] = {"system", "user", "assistant", "tool"};

// Reads one message; names it in errors.
class MessageReader {
 public:
  MessageReader(const Json& json, const std::string& place) : json_(json), place_(place) {}

  ChatMessage read() const {
    if (!json_.is_object()) fail("", json_, "an object with role and content");
    ChatMessage m;
    m.role = role();
    m.content = content();
    m.reasoning_content = text(json_, "reasoning_content");
    m.tool_call_id = text(json_, "tool_call_id");
    m.name = text(json_, "name");
    if (const Json* prefix = json_.find("prefix")) {
      if (!prefix->is_bool()) fail("prefix", *prefix, "true or false");
      m.prefix = prefix->as_bool();
    }
    if (const Json* calls = json_.find("tool_calls"); calls && !calls->is_null()) {
      if (!calls->is_array()) fail("tool_calls", *calls, "a list");
      for (const Json& call : calls->as_array()) m.tool_calls.push_back(tool_call(call));
    }
    return m;
  }

 private:
  [[noreturn]] void fail(const char* field, const Json& found, const char* expected) const {
    throw FormatError({.place = place_,
                       .field = field,
                       .problem = "wrong value",
                       .found = found.dump().substr(0, 80),
                       .expected = expected});
  }
  // "" where it is missing or null.
  std::string text(const Json& json, const char* key) const {
    const Json* value = json.find(key);
    if (!value || value->is_null()) return {};
    if (!value->is_string()) fail(key, *value, "a string");
    return value->as_string();
  }
  ChatMessage::Role role() const {
    const std::string name = text(json_, "role");
    for (int i = 0; i < 4; ++i) {
      if (name == kRoleNames[i]) return static_cast<ChatMessage::Role>(i);
    }
    fail("role", Json(name), "system, user, assistant or tool");
  }
  // A string, or parts of type text, which are one text.
  std::optional<std::string> content() const {
    const Json* value = json_.find("content");
    if (!value || value->is_null()) return std::nullopt;
    if (value->is_string()) return value->as_string();
    if (!value->is_array()) fail("content", *value, "a string");
    std::string joined;
    for (const Json& part : value->as_array()) {
      const Json* type = part.find("type");
      if (!type || *type != Json("text")) fail("content", part, "parts of type text");
      joined += text(part, "text");
    }
    return joined;
  }
  ToolCall tool_call(const Json& json) const {
    const Json* function = json.find("function");
    if (!function || !function->is_object()) fail("tool_calls", json, "calls with a function");
    ToolCall call{.id = text(json, "id"), .name = text(*function, "name"), .arguments = ""};
    const Json* arguments = function->find("arguments");
    if (arguments && arguments->is_object()) {
      call.arguments = arguments->dump();
    } else {
      call.arguments = text(*function, "arguments");
    }
    return call;
  }

  const Json& json_;
  const std::string& place_;
};

}  // namespace

const char* role_name(ChatMessage::Role role) { return kRoleNames[static_cast<size_t>(role)]; }

Json message_json(const ChatMessage& message) {
  Json json;
  json["role"] = role_name(message.role);
  json["content"] = message.content ? Json(*message.content) : Json();
  if (!message.reasoning_content.empty()) json["reasoning_content"] = message.reasoning_content;
  if (!message.name.empty()) json["name"] = message.name;
  if (!message.tool_call_id.empty()) json["tool_call_id"] = message.tool_call_id;
  if (message.prefix) json["prefix"] = true;
  if (message.tool_calls.empty()) return json;
  Json calls = Json::array();
  for (const ToolCall& call : message.tool_calls) {
    Json entry;
    entry["id"] = call.id;
    entry["type"] = "function";
    entry["function"]["name"] = call.name;
    entry["function"]["arguments"] = call.arguments;
    calls.push_back(std::move(entry));
  }
  json["tool_calls"] = std::move(calls);
  return json;
}

std::vector<ChatMessage> messages_from_json(const Json& json, const std::string& source) {
  const Json* list = json.is_object() ? json.find("messages") : &json;
  if (!list || !list->is_array()) {
    throw FormatError({.place = source,
                       .problem = "no messages",
                       .found = json.type_name(),
                       .expected = "a list of messages, or an object with it as messages"});
  }
  std::vector<ChatMessage> messages;
  for (const Json& message : list->as_array()) {
    const std::string place = concat(source, ": message ", messages.size() + 1);
    messages.push_back(MessageReader(message, place).read());
  }
  return messages;
}

}  // namespace hadal
