#include "hadal/schedule/action_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/core/in_quotes.h"

namespace hadal {
namespace {

std::string chunk_text(Chunk chunk) {
  return ' ' + std::to_string(chunk.stage) + ' ' + std::to_string(chunk.micro_batch);
}

class ActionParser {
 public:
  explicit ActionParser(std::string_view text) : text_(text) {
    for (size_t at = text.find_first_not_of(' '); at < text.size() && n_words_ < words_.size();
         at = text.find_first_not_of(' ', at)) {
      const size_t end = std::min(text.find(' ', at), text.size());
      words_[n_words_++] = text.substr(at, end - at);
      at = end;
    }
  }

  Action parse() {
    const std::string_view word = words_[0];
    if (word == "F") return computation(ActionKind::kForward, "F STAGE MICRO_BATCH");
    if (word == "B") return computation(ActionKind::kBackward, "B STAGE MICRO_BATCH");
    if (word == "Bi") return computation(ActionKind::kBackwardInput, "Bi STAGE MICRO_BATCH");
    if (word == "W") return computation(ActionKind::kWeight, "W STAGE MICRO_BATCH");
    if (word == "F&B") {
      expect_words(5, "F&B STAGE MICRO_BATCH STAGE MICRO_BATCH");
      return {.kind = ActionKind::kForwardBackward, .chunk = chunk(1), .backward = chunk(3)};
    }
    if (word == "send") return transfer(ActionKind::kSend, "send a|g STAGE MICRO_BATCH -> RANK");
    if (word == "recv") return transfer(ActionKind::kReceive, "recv a|g STAGE MICRO_BATCH <- RANK");
    fail("unknown action", "F, B, Bi, W, F&B, send or recv in front");
  }

 private:
  [[noreturn]] void fail(std::string_view what, std::string_view expected) const {
    throw FormatError(concat(what, " (found ", in_quotes(text_), ", expected ", expected,
                             "); docs/schedules.md lists the actions"));
  }
  void expect_words(size_t n, std::string_view form) const {
    if (n_words_ != n) fail("wrong action", form);
  }
  int32_t number(size_t word, int32_t largest) const {
    const std::string_view digits = words_[word];
    int32_t value = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value < 0 ||
        value > largest) {
      fail("wrong number", concat("0 to ", largest, " instead of ", in_quotes(digits)));
    }
    return value;
  }
  Chunk chunk(size_t word) const {
    constexpr int32_t kLargest = std::numeric_limits<int32_t>::max();
    return {number(word, kLargest), number(word + 1, kLargest)};
  }
  Action computation(ActionKind kind, std::string_view form) const {
    expect_words(3, form);
    return {.kind = kind, .chunk = chunk(1)};
  }
  Action transfer(ActionKind kind, std::string_view form) const {
    expect_words(6, form);
    const std::string_view arrow = kind == ActionKind::kSend ? "->" : "<-";
    if ((words_[1] != "a" && words_[1] != "g") || words_[4] != arrow) fail("wrong action", form);
    return {.kind = kind,
            .payload = words_[1] == "a" ? Payload::kActivation : Payload::kGradient,
            .peer = static_cast<int16_t>(number(5, kMaxRanks - 1)),
            .chunk = chunk(2)};
  }

  std::string_view text_;
  std::array<std::string_view, 7> words_;  // one more than the longest action has
  size_t n_words_ = 0;
};

}  // namespace

std::string to_text(const Action& action) {
  switch (action.kind) {
    case ActionKind::kForward:
      return "F" + chunk_text(action.chunk);
    case ActionKind::kBackward:
      return "B" + chunk_text(action.chunk);
    case ActionKind::kBackwardInput:
      return "Bi" + chunk_text(action.chunk);
    case ActionKind::kWeight:
      return "W" + chunk_text(action.chunk);
    case ActionKind::kForwardBackward:
      return "F&B" + chunk_text(action.chunk) + chunk_text(action.backward);
    case ActionKind::kSend:
    case ActionKind::kReceive:
      break;
  }
  const bool sends = action.kind == ActionKind::kSend;
  std::string text = sends ? "send" : "recv";
  text += action.payload == Payload::kActivation ? " a" : " g";
  text += chunk_text(action.chunk);
  text += sends ? " -> " : " <- ";
  return text + std::to_string(action.peer);
}

Action parse_action(std::string_view text) { return ActionParser(text).parse(); }

}  // namespace hadal
