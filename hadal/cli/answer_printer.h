// cli/answer_printer.h: an answer on standard output while it is written. Thoughts are apart: dim on a
// terminal, between lines that say so elsewhere. Each tool call has a line of its own.
#pragma once

#include "hadal/command/command.h"
#include "hadal/infer/answer_stream.h"

namespace hadal::cli {

class AnswerPrinter {
 public:
  explicit AnswerPrinter(Output& out);
  ~AnswerPrinter();  // ends a thought that is still shown
  AnswerPrinter(const AnswerPrinter&) = delete;
  AnswerPrinter& operator=(const AnswerPrinter&) = delete;

  void show(const AnswerStream::Piece& piece);
  void finish();  // the last line, and a note where a call is none

 private:
  void end_thought();
  void text(const std::string& text);

  Output& out_;
  const bool dim_;
  bool thinking_ = false, at_line_start_ = true, malformed_call_ = false;
};

}  // namespace hadal::cli
