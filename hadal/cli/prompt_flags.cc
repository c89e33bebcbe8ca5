#include "hadal/cli/prompt_flags.h"

#include "hadal/cli/sampling_flags.h"
#include "hadal/core/error.h"

namespace hadal::cli {
namespace {

// [1,2,3] or, as in `hadal dump --tokens`, [[1,2,3]].
std::vector<int32_t> read_token_file(const std::string& file) {
  const Json json = parse_json_file(file);
  const auto wrong = [&](const std::string& found) {
    return FormatError(concat(file, ": not a list of token ids (found ", found,
                              ", expected one list like [0, 17, 42]); write one list of whole "
                              "numbers"));
  };
  if (!json.is_array()) throw wrong(json.type_name());
  const Json* list = &json;
  if (!json.as_array().empty() && json.as_array().front().is_array()) {
    if (json.as_array().size() != 1) throw wrong(concat(json.as_array().size(), " lists"));
    list = &json.as_array().front();
  }
  std::vector<int32_t> ids;
  for (const Json& id : list->as_array()) {
    if (!id.is_integer() || id.as_integer() < 0 || id.as_integer() > 0x7FFFFFFF) {
      throw wrong(id.dump().substr(0, 40));
    }
    ids.push_back(static_cast<int32_t>(id.as_integer()));
  }
  return ids;
}

// <fim begin> prefix <fim hole> suffix <fim end>: the model writes the middle.
std::vector<int32_t> fill_in_middle_prompt(const TextModel& m, const std::string& prefix,
                                           const std::string& suffix) {
  const auto marks = m.need_tokenizer().fim_tokens();
  require(marks.has_value(), {.field = "--suffix",
                              .problem = {m.folder, " cannot fill in the middle"},
                              .found = "no FIM tokens",
                              .expected = "them in tokenizer.json",
                              .advice = "leave the option out"});
  std::vector<int32_t> ids;
  const auto append = [&](const std::string& text) {
    const std::vector<int32_t> more = m.tokenizer->encode(text, /*added_tokens=*/false);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  if (m.tokenizer->add_bos() && m.tokenizer->bos_id()) ids.push_back(*m.tokenizer->bos_id());
  ids.push_back(marks->begin);
  append(prefix);
  ids.push_back(marks->hole);
  append(suffix);
  ids.push_back(marks->end);
  return ids;
}

Conversation::Prompt chat_prompt(const PromptFlags& o, const TextModel& m) {
  Conversation conversation(
      m.need_tokenizer(), ChatTemplate::load(m.folder, *m.tokenizer, o.chat.template_as_published),
      "");
  require(conversation.has_roles(), {.field = "--messages",
                                     .problem = {m.folder, " is a base model"},
                                     .found = "neither a chat template nor role tokens",
                                     .expected = "one of them",
                                     .advice = "give a text with --prompt"});
  o.chat.apply(conversation);
  conversation.load(messages_from_json(parse_json_file(o.messages), o.messages));
  return conversation.prompt();
}

}  // namespace

void PromptFlags::bind(Flags& flags) {
  flags.option("prompt,-p", prompt, "text to continue; given again: each is answered");
  flags.option("prompt-file,-f", prompt_file,
               "file to continue; - reads standard input; may be given several times, too");
  flags.option("prompt-tokens", prompt_tokens, "JSON file with the prompt's token ids");
  flags.option("suffix", suffix,
               "text that follows what is written: fills in the middle, if the tokenizer has the "
               "marks for it");
  flags.option("messages", messages,
               "JSON file with a conversation to answer, a list of messages as OpenAI's interface "
               "has them, by the model's chat template");
  chat.bind(flags);
}

void PromptFlags::check(const Flags& flags) const {
  const int n = int{flags.given("prompt")} + int{flags.given("prompt-file")} +
                int{flags.given("prompt-tokens")} + int{flags.given("messages")};
  require(n == 1, {.field = "--prompt",
                   .problem = n == 0 ? "missing" : "given beside another",
                   .found = n,
                   .expected = "one of --prompt, --prompt-file, --prompt-tokens, --messages",
                   .advice = "see hadal generate --help"});
  require(!flags.given("suffix") || flags.given("prompt") || flags.given("prompt-file"),
          {.field = "--suffix",
           .problem = "needs a text prompt",
           .found = is_chat() ? "--messages" : "--prompt-tokens",
           .expected = "--prompt or --prompt-file"});
  for (const char* name : {"tools", "think", "template-as-published"}) {
    require(is_chat() || !flags.given(name), {.field = {"--", name},
                                              .problem = "is of a conversation",
                                              .found = "a text",
                                              .expected = "--messages",
                                              .advice = "leave it out"});
  }
}

std::vector<Conversation::Prompt> PromptFlags::make(const Flags& flags, const TextModel& m) const {
  if (is_chat()) return {chat_prompt(*this, m)};
  if (flags.given("prompt-tokens")) return {{.ids = read_token_file(prompt_tokens)}};
  m.need_tokenizer();
  std::vector<std::string> texts = prompt;
  for (const std::string& file : prompt_file) texts.push_back(read_text_argument(file));
  std::vector<Conversation::Prompt> prompts;
  for (const std::string& text : texts) {
    prompts.push_back(
        {.ids = flags.given("suffix") ? fill_in_middle_prompt(m, text, suffix) : m.encode(text)});
  }
  return prompts;
}

}  // namespace hadal::cli
