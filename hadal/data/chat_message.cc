#include "hadal/data/chat_message.h"

#include <set>

#include "hadal/core/error.h"

namespace hadal {
namespace {

constexpr const char* kRoleNames[] = {"system", "user", "assistant", "tool"};

[[noreturn]] void fail(const std::string& source, const std::string& field, const Json* found,
                       const char* expected) {
  throw FormatError({.place = source,
                     .field = field,
                     .problem = "wrong value",
                     .found = found ? found->dump().substr(0, 80) : "nothing",
                     .expected = expected});
}

// Reads one message; names it in errors.
class MessageReader {
 public:
  MessageReader(const Json& json, const std::string& source, size_t index)
      : json_(json), source_(source), here_(concat("messages[", index, "]")) {}

  ChatMessage read() const {
    if (!json_.is_object()) fail(source_, here_, &json_, "an object with role and content");
    ChatMessage m;
    m.role = role();
    m.content = content();
    m.reasoning_content = text(json_, "reasoning_content");
    m.tool_call_id = text(json_, "tool_call_id");
    m.name = text(json_, "name");
    if (const Json* prefix = json_.find("prefix")) {
      if (!prefix->is_bool()) wrong("prefix", prefix, "true or false");
      m.prefix = prefix->as_bool();
    }
    if (const Json* calls = json_.find("tool_calls"); calls && !calls->is_null()) {
      if (!calls->is_array()) wrong("tool_calls", calls, "a list");
      for (const Json& call : calls->as_array()) {
        m.tool_calls.push_back(tool_call(call, concat("tool_calls[", m.tool_calls.size(), "]")));
      }
    }
    if (!m.content && m.role != ChatMessage::Role::kAssistant) {
      wrong("content", json_.find("content"), "a string");
    }
    if (!m.content && m.tool_calls.empty()) {
      wrong("content", json_.find("content"), "a string, or tool_calls beside it");
    }
    return m;
  }

 private:
  [[noreturn]] void wrong(const std::string& field, const Json* found, const char* expected) const {
    fail(source_, concat(here_, ".", field), found, expected);
  }
  // "" where it is missing or null. `in`: of the message, "tool_calls[0].".
  std::string text(const Json& json, const char* key, const std::string& in = "") const {
    const Json* value = json.find(key);
    if (!value || value->is_null()) return {};
    if (!value->is_string()) wrong(in + key, value, "a string");
    return value->as_string();
  }
  ChatMessage::Role role() const {
    const std::string name = text(json_, "role");
    for (int i = 0; i < 4; ++i) {
      if (name == kRoleNames[i]) return static_cast<ChatMessage::Role>(i);
    }
    wrong("role", json_.find("role"), "system, user, assistant or tool");
  }
  // A string, or parts of type text, which are one text.
  std::optional<std::string> content() const {
    const Json* value = json_.find("content");
    if (!value || value->is_null()) return std::nullopt;
    if (value->is_string()) return value->as_string();
    if (!value->is_array()) wrong("content", value, "a string");
    std::string joined;
    for (size_t i = 0; i < value->as_array().size(); ++i) {
      const Json& part = value->as_array()[i];
      const Json* type = part.find("type");
      const std::string place = concat("content[", i, "]");
      if (!type || *type != Json("text")) wrong(place, &part, "a part of type text");
      joined += text(part, "text", place + ".");
    }
    return joined;
  }
  ToolCall tool_call(const Json& json, const std::string& place) const {
    const Json* function = json.find("function");
    if (!function || !function->is_object()) wrong(place + ".function", function, "an object");
    ToolCall call{.id = text(json, "id", place + "."),
                  .name = text(*function, "name", place + ".function."),
                  .arguments = ""};
    if (call.name.empty()) wrong(place + ".function.name", function->find("name"), "a name");
    const Json* arguments = function->find("arguments");
    if (!arguments || (!arguments->is_object() && !arguments->is_string())) {
      wrong(place + ".function.arguments", arguments, "an object, or its text");
    }
    call.arguments = arguments->is_object() ? arguments->dump() : arguments->as_string();
    return call;
  }

  const Json& json_;
  const std::string& source_;
  const std::string here_;
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
  std::set<std::string> calls;
  for (const Json& message : list->as_array()) {
    const size_t index = messages.size();
    const ChatMessage& m = messages.emplace_back(MessageReader(message, source, index).read());
    for (const ToolCall& call : m.tool_calls) calls.insert(call.id);
    if (!m.tool_call_id.empty() && !calls.contains(m.tool_call_id)) {
      fail(source, concat("messages[", index, "].tool_call_id"), message.find("tool_call_id"),
           "the id of a call before it");
    }
  }
  return messages;
}

Json tools_from_json(const Json& json, const std::string& source) {
  if (!json.is_array()) fail(source, "tools", &json, "a list");
  for (size_t i = 0; i < json.as_array().size(); ++i) {
    const Json& tool = json.as_array()[i];
    const std::string place = concat("tools[", i, "]");
    const Json *type = tool.find("type"), *function = tool.find("function");
    if (!type || *type != Json("function")) fail(source, place + ".type", type, "\"function\"");
    const Json* name = function ? function->find("name") : nullptr;
    if (!name || !name->is_string()) fail(source, place + ".function.name", name, "a string");
  }
  return json;
}

}  // namespace hadal
