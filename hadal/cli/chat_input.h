// cli/chat_input.h: what a person types into `hadal chat`.
#pragma once

#include <string>
#include <string_view>

#include "hadal/command/line_editor.h"

namespace hadal::cli {

// A message of one line, or of several: while a line ends with a backslash, or from a line that begins
// with """ to one that ends with it.
LineEditor::Event read_message(LineEditor& editor, std::string& message);

// "/save  FILE" -> "save" and "FILE". No name for what is no command; "//x" is a message "/x".
struct ChatLine {
  std::string name, rest;
};
ChatLine parse_chat_line(std::string_view message);

}  // namespace hadal::cli
