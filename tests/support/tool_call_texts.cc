#include "tests/support/tool_call_texts.h"

#include "hadal/core/json.h"
#include "tests/support/text_model_folder.h"

namespace hadal::test {
namespace {

// As DeepSeek-V3.1 has it: no mark of the assistant behind results.
constexpr const char* kV31Template =
    "{{ bos_token }}{% set ns = namespace(asked=false) %}{% for m in messages %}"
    "{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}{% set ns.asked = true %}"
    "{% elif m.role == 'tool' %}{{ '<｜tool▁output▁begin｜>' + m.content + '<｜tool▁output▁end｜>' "
    "}}"
    "{% set ns.asked = false %}{% elif m.role == 'assistant' %}"
    "{{ '<｜Assistant｜></think>' if ns.asked }}{{ m.content or '' }}{% set ns.asked = false %}"
    "{% for c in m.tool_calls or [] %}{{ '<｜tool▁calls▁begin｜>' if loop.first }}"
    "{{ '<｜tool▁call▁begin｜>' + c.function.name + '<｜tool▁sep｜>' + c.function.arguments }}"
    "{{ '<｜tool▁call▁end｜>' }}{{ '<｜tool▁calls▁end｜>' if loop.last }}{% endfor %}{{ eos_token "
    "}}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{{ '<｜Assistant｜></think>' if add_generation_prompt and ns.asked }}";
constexpr const char* kKimiTemplate =
    "{% for m in messages %}{{ '<｜User｜>' + m.role + '<｜Assistant｜>' }}"
    "{% if m.role == 'tool' %}{{ '## Return of ' + m.tool_call_id + '\n' }}{% endif %}"
    "{{ m.content or '' }}{% for c in m.tool_calls or [] %}"
    "{{ '<|tool_calls_section_begin|>' if loop.first }}"
    "{{ '<|tool_call_begin|>' + c.id + '<|tool_call_argument_begin|>' + c.function.arguments }}"
    "{{ '<|tool_call_end|>' }}{{ '<|tool_calls_section_end|>' if loop.last }}{% endfor %}"
    "{{ eos_token }}{% endfor %}"
    "{{ '<｜User｜>assistant<｜Assistant｜>' if add_generation_prompt }}";

}  // namespace

const std::vector<ToolFormat>& tool_formats() {
  static const std::vector<ToolFormat> formats = {
      {"DeepSeek-V3",
       {"<｜tool▁call▁begin｜>function<｜tool▁sep｜>land\n```json\n{\"of\": \"rain\"}\n```"
        "<｜tool▁call▁end｜>",
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>hat\n```json\n{}\n```<｜tool▁call▁end｜>"},
       "<｜tool▁calls▁begin｜>",
       "\n",
       "<｜tool▁calls▁end｜>",
       nullptr,
       {"call_1", "call_2"}},
      {"DeepSeek-V3.1",
       {"<｜tool▁call▁begin｜>land<｜tool▁sep｜>{\"of\": \"rain\"}<｜tool▁call▁end｜>",
        "<｜tool▁call▁begin｜>hat<｜tool▁sep｜>{}<｜tool▁call▁end｜>"},
       "<｜tool▁calls▁begin｜>",
       "",
       "<｜tool▁calls▁end｜>",
       kV31Template,
       {"call_1", "call_2"}},
      {"Kimi-K2",
       {"<|tool_call_begin|>functions.land:0<|tool_call_argument_begin|>{\"of\": \"rain\"}"
        "<|tool_call_end|>",
        "<|tool_call_begin|>functions.hat:1<|tool_call_argument_begin|>{}<|tool_call_end|>"},
       "<|tool_calls_section_begin|>",
       "",
       "<|tool_calls_section_end|>",
       kKimiTemplate,
       {"functions.land:0", "functions.hat:1"}}};
  return formats;
}

std::string section(const ToolFormat& format) {
  return std::string(format.begin) + format.calls[0] + format.between + format.calls[1] +
         format.end;
}

std::string tokenizer_json_with_all_marks() {
  Json json = parse_json_file(tokenizer_folder() + "/tokenizer.json");
  int64_t next = Tokenizer::load(tokenizer_folder()).vocab_size();
  for (const char* mark :
       {"<think>", "</think>", "<|tool_calls_section_begin|>", "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>", "<|tool_call_end|>", "<|tool_calls_section_end|>"}) {
    json["added_tokens"].push_back(Json::Object{{"id", next++},
                                                {"content", mark},
                                                {"single_word", false},
                                                {"lstrip", false},
                                                {"rstrip", false},
                                                {"normalized", false},
                                                {"special", false}});
  }
  return json.dump();
}

Tokenizer tokenizer_with_all_marks() {
  return Tokenizer::from_json(tokenizer_json_with_all_marks(), "", "tokenizer with marks");
}

std::vector<int32_t> spelled_ids(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> ids;
  for (const int32_t id : tokenizer.encode(text)) {
    bool is_mark = false;
    for (const AddedToken& token : tokenizer.added_tokens()) is_mark = is_mark || token.id == id;
    if (is_mark) {
      ids.push_back(id);
      continue;
    }
    for (const char c : tokenizer.token_bytes(id)) {
      ids.push_back(tokenizer.token_id(std::string(1, c)).value());
    }
  }
  return ids;
}

}  // namespace hadal::test
