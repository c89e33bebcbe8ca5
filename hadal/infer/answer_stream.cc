#include "hadal/infer/answer_stream.h"

#include <algorithm>

namespace hadal {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>";

std::vector<int32_t> mark_tokens(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (token.content == kOpen || token.content == kClose) ids.push_back(token.id);
  }
  return ids;
}

// Length of the longest end of `text` that a mark may begin with.
size_t possible_mark(std::string_view text, std::string_view mark) {
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == mark.substr(0, n)) return n;
  }
  return 0;
}

// Line breaks between a mark and the words are no part of either, but only the first piece has them.
std::string shown(std::string text, bool& begun) {
  if (!begun) text.erase(0, std::min(text.find_first_not_of("\n"), text.size()));
  begun = begun || !text.empty();
  return text;
}

}  // namespace

AnswerStream::AnswerStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings,
                           bool inside, int64_t calls_before)
    : stream_(tokenizer, std::move(stop_strings), mark_tokens(tokenizer)),
      calls_(tokenizer, calls_before),
      part_(inside ? Part::kThinking : Part::kBegin),
      content_shown_(!inside) {}

void AnswerStream::take(const std::string& more, bool last, Piece& piece) {
  held_ += more;
  if (part_ == Part::kBegin) {
    const size_t word = std::min(held_.find_first_not_of(" \t\r\n"), held_.size());
    const std::string_view rest = std::string_view(held_).substr(word);
    if (rest.substr(0, kOpen.size()) == kOpen) {
      held_.erase(0, word + kOpen.size());
      part_ = Part::kThinking;
      content_shown_ = false;
    } else if (last || rest != kOpen.substr(0, rest.size())) {
      part_ = Part::kContent;
    }
  }
  if (part_ == Part::kThinking) {
    const size_t close = held_.find(kClose);
    const bool closed = close != std::string::npos;
    const size_t n = closed ? close : held_.size() - (last ? 0 : possible_mark(held_, kClose));
    thinking_ += held_.substr(0, n);
    piece.thinking += shown(held_.substr(0, n), thinking_shown_);
    held_.erase(0, closed ? close + kClose.size() : n);
    if (closed) part_ = Part::kContent;
  }
  if (part_ == Part::kContent) {
    content_ += held_;
    piece.content += shown(std::move(held_), content_shown_);
    held_.clear();
  }
}

void AnswerStream::take(ToolCallParser::Found found, Piece& piece) {
  piece.malformed_call = piece.malformed_call || !found.text.empty();
  content_ += found.text;
  piece.content += shown(std::move(found.text), content_shown_);
  for (ToolCall& call : found.calls) {
    tool_calls_.push_back(call);
    piece.tool_calls.push_back(std::move(call));
  }
}

AnswerStream::Piece AnswerStream::push(int32_t token) {
  Piece piece;
  if (!calls_.takes(token)) {
    take(stream_.push(token), false, piece);
    return piece;
  }
  // The words end here. What is held of them may close the thought.
  take(stream_.finish(), false, piece);
  if (stopped()) return piece;
  if (part_ == Part::kThinking) {
    take(stream_.push(token), false, piece);
  } else {
    take("", true, piece);
    take(calls_.push(token), piece);
  }
  return piece;
}

AnswerStream::Piece AnswerStream::finish() {
  Piece piece;
  take(stream_.finish(), true, piece);
  take(calls_.finish(), piece);
  return piece;
}

ChatMessage AnswerStream::message() const {
  ChatMessage message{.role = ChatMessage::Role::kAssistant,
                      .reasoning_content = thinking_,
                      .tool_calls = tool_calls_};
  if (!content_.empty() || tool_calls_.empty()) message.content = content_;
  return message;
}

}  // namespace hadal
