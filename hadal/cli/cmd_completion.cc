// cli/cmd_completion.cc: `hadal completion`
#include "hadal/cli/commands.h"

namespace hadal::cli {
namespace {

struct CompletionOptions {
  std::string shell;
};

void bind(Flags& flags, CompletionOptions& o) {
  flags.example("hadal completion bash > ~/.local/share/bash-completion/completions/hadal",
                "complete commands and options in bash");
  flags.example("hadal completion man | man -l -", "read the manual page");
  flags.positional("SHELL", o.shell, "bash, zsh or fish; man prints the manual page");
}

int run(const CompletionOptions& o, const CommonOptions&, Output& out) {
  std::vector<CommandInfo> commands;
  for (const Command& command : all_commands()) commands.push_back(describe(command));
  const std::string text = o.shell == "man" ? man_page(commands) : completion(commands, o.shell);
  if (out.json()) {
    Json document;
    document["shell"] = o.shell;
    document["text"] = text;
    out.report(document);
  }
  out.text(text);
  return 0;
}

}  // namespace

Command make_completion_command() {
  return define_command<CompletionOptions>("completion", "shell completion and the manual page",
                                           bind, run);
}

}  // namespace hadal::cli
