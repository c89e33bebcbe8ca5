// The only file that knows libedit.
#include "hadal/command/line_editor.h"

#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <iostream>

namespace hadal::cli {
namespace {

constexpr int kHistoryLines = 1000;

}  // namespace

struct LineEditor::Impl {
  std::string prompt, prompt_of_more, history_file;
  bool more = false;
  EditLine* editor = nullptr;
  History* history = nullptr;

  static char* show_prompt(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    Impl& impl = *static_cast<Impl*>(self);
    return (impl.more ? impl.prompt_of_more : impl.prompt).data();
  }
};

LineEditor::LineEditor(const std::string& prompt, std::string history_file) {
  if (isatty(STDIN_FILENO) == 0) return;
  std::setlocale(LC_CTYPE, "");  // characters, not bytes, are what a key deletes
  impl_ = std::make_unique<Impl>();
  impl_->prompt = prompt;
  impl_->prompt_of_more = std::string(prompt.size() > 2 ? prompt.size() - 2 : 0, ' ') + ". ";
  impl_->history_file = std::move(history_file);
  impl_->history = history_init();
  HistEvent event;
  history(impl_->history, &event, H_SETSIZE, kHistoryLines);
  history(impl_->history, &event, H_SETUNIQUE, 1);
  if (!impl_->history_file.empty()) {
    history(impl_->history, &event, H_LOAD, impl_->history_file.c_str());
  }
  impl_->editor = el_init("hadal", stdin, stdout, stderr);
  el_set(impl_->editor, EL_CLIENTDATA, impl_.get());
  el_set(impl_->editor, EL_PROMPT, &Impl::show_prompt);
  el_set(impl_->editor, EL_EDITOR, "emacs");
  el_set(impl_->editor, EL_HIST, history, impl_->history);
  el_source(impl_->editor, nullptr);  // ~/.editrc
}

LineEditor::~LineEditor() {
  if (!impl_) return;
  el_end(impl_->editor);
  HistEvent event;
  if (!impl_->history_file.empty()) {
    history(impl_->history, &event, H_SAVE, impl_->history_file.c_str());
  }
  history_end(impl_->history);
}

void LineEditor::prefill(const std::string& text) {
  if (impl_) el_push(impl_->editor, text.c_str());
}

LineEditor::Event LineEditor::read(std::string& line, bool more) {
  if (!impl_) return std::getline(std::cin, line) ? Event::kLine : Event::kEnd;
  impl_->more = more;
  int n = 0;
  errno = 0;
  const char* typed = el_gets(impl_->editor, &n);
  if (typed == nullptr || n <= 0) {
    const bool by_signal = errno == EINTR;
    std::fputs("\n", stdout);
    if (by_signal) el_reset(impl_->editor);
    return by_signal ? Event::kInterrupt : Event::kEnd;
  }
  line.assign(typed, static_cast<size_t>(n));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  if (!line.empty()) {
    HistEvent event;
    history(impl_->history, &event, H_ENTER, line.c_str());
  }
  return Event::kLine;
}

}  // namespace hadal::cli
