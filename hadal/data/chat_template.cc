#include "hadal/data/chat_template.h"

#include "hadal/core/error.h"
#include "hadal/data/stored_template.h"
#include "hadal/jinja/template.h"

namespace hadal {
namespace {

constexpr const char* kUser = "<｜User｜>";
constexpr const char* kAssistant = "<｜Assistant｜>";

// DeepSeek-V3's format, tool calls as its later revisions write them: every message with calls has its
// beginning and its end. Systems stand first, wherever they come in the conversation.
constexpr const char* kDeepseekV3 = R"jinja(
{%- set ns = namespace(system='', results=false) -%}
{%- for m in messages if m.role == 'system' -%}
  {%- set ns.system = ns.system + ('\n\n' if ns.system else '') + (m.content or '') -%}
{%- endfor -%}
{{- bos_token ~ ns.system -}}
{%- for m in messages -%}
  {%- if m.role == 'tool' -%}
    {{- '\n' if ns.results else '<｜tool▁outputs▁begin｜>' -}}
    {{- '<｜tool▁output▁begin｜>' + (m.content or '') + '<｜tool▁output▁end｜>' -}}
    {%- set ns.results = true -%}
  {%- elif m.role != 'system' -%}
    {#- what is written behind results needs no mark of the assistant -#}
    {{- '<｜tool▁outputs▁end｜>' if ns.results -}}
    {{- '<｜User｜>' if m.role == 'user' else '' if ns.results else '<｜Assistant｜>' -}}
    {%- set ns.results = false -%}
    {{- m.content or '' -}}
    {%- for call in m.tool_calls or [] -%}
      {{- '<｜tool▁calls▁begin｜>' if loop.first else '\n' -}}
      {{- '<｜tool▁call▁begin｜>' + call.type + '<｜tool▁sep｜>' + call.function.name -}}
      {{- '\n```json\n' + call.function.arguments + '\n```<｜tool▁call▁end｜>' -}}
      {{- '<｜tool▁calls▁end｜>' if loop.last -}}
    {%- endfor -%}
    {{- eos_token if m.role == 'assistant' -}}
  {%- endif -%}
{%- endfor -%}
{%- if ns.results -%}
  {{- '<｜tool▁outputs▁end｜>' -}}
{%- elif add_generation_prompt -%}
  {{- '<｜Assistant｜>' -}}
{%- endif -%}
)jinja";

bool has_added_token(const Tokenizer& tokenizer, const std::string& content) {
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (token.content == content) return true;
  }
  return false;
}

jinja::Value token_text(const Tokenizer& tokenizer, std::optional<int32_t> id) {
  const std::string_view bytes = id ? tokenizer.token_bytes(*id) : std::string_view();
  return jinja::Value(jinja::Text(std::string(bytes), jinja::Origin::kTemplate));
}

// The text up to the end of the message that is gone on with.
jinja::Text cut_behind(const jinja::Text& text, const std::string& content) {
  const size_t at = text.view().rfind(content);
  if (content.empty() || at == std::string_view::npos) {
    throw ConfigError({.field = "prefix",
                       .problem = "the template does not end with this message",
                       .found = content,
                       .expected = "a text that is written as it is",
                       .advice = "leave out prefix"});
  }
  return text.slice(0, at + content.size());
}

}  // namespace

ChatTemplate::ChatTemplate(const Tokenizer& tokenizer, std::string_view text,
                           const std::string& source)
    : tokenizer_(&tokenizer),
      template_(std::make_shared<const jinja::Template>(text, source)),
      with_tools_(template_),
      knows_thinking_(text.find("thinking") != std::string_view::npos) {}

std::optional<ChatTemplate> ChatTemplate::deepseek_v3(const Tokenizer& tokenizer) {
  if (!has_added_token(tokenizer, kUser) || !has_added_token(tokenizer, kAssistant)) {
    return std::nullopt;
  }
  return ChatTemplate(tokenizer, kDeepseekV3, "DeepSeek-V3's format");
}

std::optional<ChatTemplate> ChatTemplate::load(const std::string& folder,
                                               const Tokenizer& tokenizer, bool as_published) {
  const std::optional<StoredTemplate> stored = find_stored_template(folder);
  if (!stored || (!as_published && template_hash(stored->text) == kDeepseekV3Template)) {
    return deepseek_v3(tokenizer);
  }
  ChatTemplate result(tokenizer, stored->text, stored->file);
  if (stored->with_tools != stored->text) {
    result.with_tools_ = std::make_shared<const jinja::Template>(
        stored->with_tools, stored->file + ": chat_template tool_use");
  }
  return result;
}

jinja::Text ChatTemplate::text(std::span<const ChatMessage> messages,
                               const ChatOptions& options) const {
  using jinja::Origin;
  const bool goes_on = !messages.empty() && messages.back().prefix;
  Json::Array list;
  for (const ChatMessage& message : messages) list.push_back(message_json(message));
  const bool answer_next = options.answer_next && !goes_on;
  jinja::Variables variables = {
      {"messages", from_json(Json(std::move(list)), Origin::kData)},
      {"tools", from_json(options.tools, Origin::kData)},
      {"documents", jinja::Value(nullptr)},
      {"add_generation_prompt", jinja::Value(answer_next)},
      {"bos_token", token_text(*tokenizer_, tokenizer_->bos_id())},
      {"eos_token", token_text(*tokenizer_, tokenizer_->eos_id())},
  };
  if (options.thinking) {  // by the names that the families ask for
    variables.emplace_back("thinking", jinja::Value(*options.thinking));
    variables.emplace_back("enable_thinking", jinja::Value(*options.thinking));
  }
  if (options.variables.is_object()) {  // the first of a name counts
    for (const auto& [name, value] : options.variables.as_object()) {
      variables.insert(variables.begin(), {name, from_json(value, Origin::kData)});
    }
  }
  const jinja::Text text = (options.tools.is_null() ? template_ : with_tools_)->render(variables);
  return goes_on ? cut_behind(text, messages.back().content.value_or("")) : text;
}

std::vector<int32_t> ChatTemplate::ids(const jinja::Text& text, const KnownIds& known) const {
  std::vector<TextStretch> stretches;
  for (const jinja::Text::Span& span : text.spans()) {
    stretches.push_back({span.end, span.origin == jinja::Origin::kTemplate});
  }
  return tokenizer_->encode_stretches(text.view(), stretches, known);
}

bool opens_thinking(const jinja::Text& prompt) {
  constexpr std::string_view kThink = "<think>";
  const size_t end = prompt.size() - jinja::spaces_behind(prompt.view());
  return end >= kThink.size() &&
         prompt.view().substr(end - kThink.size(), kThink.size()) == kThink &&
         prompt.origin_at(end - 1) == jinja::Origin::kTemplate;
}

}  // namespace hadal
