#include "hadal/cli/chat_input.h"

#include <algorithm>

namespace hadal::cli {
namespace {

constexpr std::string_view kFence = "\"\"\"";

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

LineEditor::Event read_message(LineEditor& editor, std::string& message) {
  LineEditor::Event event = editor.read(message);
  if (event != LineEditor::Event::kLine) return event;
  const bool fenced = message.rfind(kFence, 0) == 0;
  if (fenced) message.erase(0, kFence.size());
  std::string line;
  while (fenced ? !ends_with(message, kFence) : ends_with(message, "\\")) {
    event = editor.read(line, /*more=*/true);
    if (event == LineEditor::Event::kInterrupt) return event;
    if (event == LineEditor::Event::kEnd) return LineEditor::Event::kLine;  // what there is
    if (!fenced) message.pop_back();
    message += '\n' + line;
  }
  if (fenced) message.erase(message.size() - kFence.size());
  if (fenced && !message.empty() && message.front() == '\n') message.erase(0, 1);
  if (fenced && !message.empty() && message.back() == '\n') message.pop_back();
  return LineEditor::Event::kLine;
}

ChatLine parse_chat_line(std::string_view message) {
  if (message.empty() || message[0] != '/') return {"", std::string(message)};
  if (message.substr(0, 2) == "//") return {"", std::string(message.substr(1))};
  const size_t end = std::min(message.find_first_of(" \t\n"), message.size());
  const size_t rest = std::min(message.find_first_not_of(" \t\n", end), message.size());
  return {std::string(message.substr(1, end - 1)), std::string(message.substr(rest))};
}

}  // namespace hadal::cli
