#include "hadal/cli/answer_printer.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "hadal/core/error.h"
#include "hadal/core/log.h"

namespace hadal::cli {

AnswerPrinter::AnswerPrinter(Output& out)
    : out_(out), dim_(isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr) {}

AnswerPrinter::~AnswerPrinter() {
  if (thinking_) end_thought();
}

void AnswerPrinter::text(const std::string& text) {
  out_.text(text);
  if (!text.empty()) at_line_start_ = text.back() == '\n';
}

void AnswerPrinter::show(const AnswerStream::Piece& piece) {
  if (!piece.thinking.empty()) {
    if (!thinking_) text(dim_ ? "\033[2m" : "[thinking]\n");
    thinking_ = true;
    text(piece.thinking);
  }
  if (thinking_ && (!piece.content.empty() || !piece.tool_calls.empty())) end_thought();
  text(piece.content);
  for (const ToolCall& call : piece.tool_calls) {
    if (!at_line_start_) text("\n");
    text(concat("[tool call] ", call.name, " ", call.arguments, "\n"));
  }
  malformed_call_ = malformed_call_ || piece.malformed_call;
  std::fflush(stdout);
}

void AnswerPrinter::finish() {
  if (thinking_) end_thought();
  text("\n");
  std::fflush(stdout);
  if (malformed_call_) {
    log_note("(a tool call was cut short or its arguments are no JSON object: it stands as text)");
  }
}

void AnswerPrinter::end_thought() {
  text(dim_ ? "\033[0m\n" : "\n[answer]\n");
  thinking_ = false;
}

}  // namespace hadal::cli
