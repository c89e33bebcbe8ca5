// command/line_editor.h: one line from a person, with editing keys and a history kept in a file. When
// stdin is not a terminal, plain lines.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace hadal::cli {

class LineEditor {
 public:
  // `history_file` may be empty: nothing is remembered beyond the session.
  LineEditor(const std::string& prompt, std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Event { kLine, kEnd, kInterrupt };  // kEnd: Ctrl-D or end of file
  // `more`: the line goes on with one that was read before, and the prompt says so.
  Event read(std::string& line, bool more = false);
  // The next line begins with this text, for the person to change. On plain lines nothing.
  void prefill(const std::string& text);
  bool is_terminal() const { return impl_ != nullptr; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // none when stdin is not a terminal
};

}  // namespace hadal::cli
