#include "hadal/infer/tool_call_parser.h"

#include <algorithm>
#include <utility>

#include "hadal/core/error.h"

namespace hadal {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr std::string_view kFence = "\n```json\n", kFenceEnd = "\n```";
constexpr std::string_view kKimiFunctions = "functions.";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool is_json_object(const std::string& text) {
  try {
    return parse_json(text, "").is_object();
  } catch (const FormatError&) {
    return false;
  }
}

// "functions.NAME:N" -> NAME; empty for what is none.
std::string_view kimi_name(std::string_view id) {
  const size_t colon = id.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == id.size()) return {};
  if (id.find_first_not_of("0123456789", colon + 1) != std::string_view::npos) return {};
  id = id.substr(0, colon);
  return id.starts_with(kKimiFunctions) ? id.substr(kKimiFunctions.size()) : id;
}

}  // namespace

std::vector<ToolCallParser::MarkToken> ToolCallParser::marks_in(const Tokenizer& tokenizer) {
  constexpr std::pair<std::string_view, Mark> kMarks[] = {
      {"<｜tool▁calls▁begin｜>", Mark::kSection},
      {"<｜tool▁call▁begin｜>", Mark::kCall},
      {"<｜tool▁sep｜>", Mark::kBody},
      {"<｜tool▁call▁end｜>", Mark::kCallEnd},
      {"<｜tool▁calls▁end｜>", Mark::kSectionEnd},
      {"<|tool_calls_section_begin|>", Mark::kSection},
      {"<|tool_call_begin|>", Mark::kCall},
      {"<|tool_call_argument_begin|>", Mark::kKimiBody},
      {"<|tool_call_end|>", Mark::kCallEnd},
      {"<|tool_calls_section_end|>", Mark::kSectionEnd},
  };
  std::vector<MarkToken> found;
  for (const AddedToken& token : tokenizer.added_tokens()) {
    for (const auto& [content, mark] : kMarks) {
      if (token.content == content) found.push_back({token.id, mark});
    }
  }
  return found;
}

ToolCallParser::ToolCallParser(const Tokenizer& tokenizer, int64_t calls_before)
    : tokenizer_(tokenizer),
      marks_(marks_in(tokenizer)),
      words_(tokenizer, {}),
      n_calls_(calls_before) {}

std::optional<ToolCallParser::Mark> ToolCallParser::mark_of(int32_t token) const {
  for (const MarkToken& mark : marks_) {
    if (mark.id == token) return mark.mark;
  }
  return std::nullopt;
}

void ToolCallParser::add(const std::string& text) {
  field_ += text;
  pending_ += text;
}

bool ToolCallParser::only_space() const {
  return field_.find_first_not_of(kBlank) == std::string::npos;
}

void ToolCallParser::give_back(Found& found) {
  malformed_ = malformed_ || !pending_.empty();
  found.text += pending_;
  pending_.clear();
}

std::optional<ToolCall> ToolCallParser::read_call() const {
  ToolCall call;
  const std::string_view head = trimmed(head_);
  const size_t fence = field_.find(kFence);
  const std::string_view fenced = std::string_view(field_).substr(
      0, field_.find_last_not_of(kBlank) + 1);  // nothing behind the fence's end counts
  if (kimi_) {
    call = {std::string(head), std::string(kimi_name(head)), field_};
  } else if (head == "function" && fence != std::string::npos && fenced.ends_with(kFenceEnd) &&
             fenced.size() >= fence + kFence.size() + kFenceEnd.size()) {
    const size_t begin = fence + kFence.size();
    call = {concat("call_", n_calls_ + 1), std::string(trimmed(field_.substr(0, fence))),
            field_.substr(begin, fenced.size() - kFenceEnd.size() - begin)};
  } else {
    call = {concat("call_", n_calls_ + 1), std::string(head), field_};
  }
  const bool is_name = !call.name.empty() && call.name.find_first_of(kBlank) == std::string::npos;
  if (!is_name || !is_json_object(call.arguments)) return std::nullopt;
  return call;
}

void ToolCallParser::open(Mark mark, Found& found) {
  // Templates that forget a section's beginning teach models to: a call opens one too.
  const bool is_next_call = mark == Mark::kCall && place_ == Place::kSection && only_space();
  if (place_ != Place::kText && !is_next_call) give_back(found);
  if (place_ == Place::kText || mark == Mark::kSection) section_has_calls_ = false;
  place_ = mark == Mark::kCall ? Place::kHead : Place::kSection;
}

void ToolCallParser::end_call(Found& found) {
  std::optional<ToolCall> call;
  if (place_ == Place::kBody) call = read_call();
  if (call) {
    found.calls.push_back(std::move(*call));
    ++n_calls_;
    section_has_calls_ = true;
    pending_.clear();
  } else {
    give_back(found);
  }
  if (place_ != Place::kText) place_ = Place::kSection;
}

void ToolCallParser::end_section(Found& found) {
  if (place_ == Place::kSection && only_space() && section_has_calls_) {
    pending_.clear();
  } else if (place_ != Place::kText || !pending_.empty()) {
    give_back(found);
  }
  place_ = Place::kText;
}

ToolCallParser::Found ToolCallParser::push(int32_t token) {
  const std::optional<Mark> mark = mark_of(token);
  if (!mark) {
    add(words_.push(token));
    return {};
  }
  add(words_.finish());
  Found found;
  if (*mark == Mark::kSection || *mark == Mark::kCall) open(*mark, found);
  pending_ += tokenizer_.token_bytes(token);
  if (*mark == Mark::kCallEnd) {
    end_call(found);
  } else if (*mark == Mark::kSectionEnd) {
    end_section(found);
  } else if (*mark == Mark::kBody || *mark == Mark::kKimiBody) {
    if (place_ == Place::kHead) {
      head_ = field_;
      kimi_ = *mark == Mark::kKimiBody;
      place_ = Place::kBody;
    } else {
      give_back(found);
      if (place_ != Place::kText) place_ = Place::kSection;
    }
  }
  field_.clear();
  return found;
}

ToolCallParser::Found ToolCallParser::finish() {
  add(words_.finish());
  Found found;
  end_section(found);
  field_.clear();
  return found;
}

}  // namespace hadal
