// command/command.h: a command parses, calls one library function and prints; it decides nothing.
//
// The parser behind Flags is CLI11, which stays in command.cc. One table of commands feeds --help,
// the man page and the shell completions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/tensor/context.h"

namespace hadal::cli {

// Options every command has; bound by the framework.
struct CommonOptions {
  bool json = false;
  bool quiet = false;
  int threads = 0;  // 0: available_cores(); resolved before run()
  uint64_t seed = 0;
  bool seed_given = false;
  std::string device = "cpu";

  Device chosen_device() const { return device == "cuda" ? Device::kCuda : Device::kCpu; }
};

// What --help, the man page and the completions say about one option; filled by Flags.
struct OptionInfo {
  std::vector<std::string> names;  // "--model", "-m"; a positional has its bare name
  std::string value_name;          // "TEXT", "N"; empty for a flag
  std::string help;
  std::string default_text;
  std::vector<std::string> choices;
  bool is_required = false, is_positional = false, is_repeatable = false;
};
struct CommandInfo {
  std::string name, summary;
  std::vector<std::pair<std::string, std::string>> examples;  // command line, meaning
  std::vector<OptionInfo> options;
};

// Declares options of one command. Names: "model" gives --model; "max-tokens,-n" adds a short name
// or alias after a comma ("temperature,--temp").
class Flags {
 public:
  struct Impl;
  explicit Flags(Impl& impl) : impl_(impl) {}
  void required(const std::string& name, std::string& value, const std::string& help);
  void option(const std::string& name, std::string& value, const std::string& help);
  void option(const std::string& name, int64_t& value, const std::string& help);
  void option(const std::string& name, double& value, const std::string& help);
  void option(const std::string& name, std::optional<int64_t>& value,
              const std::string& help);  // no value: the help text says what follows from that
  void option(const std::string& name, std::optional<double>& value, const std::string& help);
  void option(const std::string& name, std::vector<std::string>& value,
              const std::string& help);  // repeatable
  void choice(const std::string& name, std::string& value, const std::vector<std::string>& allowed,
              const std::string& help);
  void flag(const std::string& name, bool& value, const std::string& help);
  void positional(const std::string& name, std::string& value, const std::string& help,
                  bool is_required = true);
  void positional(const std::string& name, std::vector<std::string>& value,
                  const std::string& help);
  bool given(const std::string& name) const;  // in run(): was --name on the command line?
  // The library's names for options of this command, where they differ: its errors say
  // draft_tokens, the command line says --speculate. max_tokens is --max-tokens without an entry.
  void library_names(const std::vector<std::pair<std::string, std::string>>& name_and_option);
  void example(const std::string& line, const std::string& meaning);  // shown first in --help

 private:
  Impl& impl_;
};

// Where results go: stdout, as text for people or one JSON document under --json.
class Output {
 public:
  explicit Output(bool json, NameOf option_of = plain_name)
      : json_(json), option_of_(std::move(option_of)) {}
  bool json() const { return json_; }
  // How this command line calls the library's settings: for Refusal::line and with_names.
  const NameOf& option_of() const { return option_of_; }
  // Under --json prints `document`; otherwise "name  value" lines, nested objects indented, arrays
  // of objects as tables. A command with a better text form checks json() itself and uses text().
  void report(const Json& document);
  void text(const std::string& text);  // as is, nothing under --json

 private:
  bool json_;
  NameOf option_of_;
};

struct Command {
  std::string name, summary;
  std::function<void(Flags&)> bind;
  std::function<int(const CommonOptions&, const Flags&, Output&)> run;
};

// Ties an options struct to bind(Flags&, Options&) and run(const Options&, const CommonOptions&,
// Output&).
template <class Options>
Command define_command(const std::string& name, const std::string& summary,
                       void (*bind)(Flags&, Options&),
                       int (*run)(const Options&, const CommonOptions&, Output&)) {
  auto options = std::make_shared<Options>();
  return {name, summary, [options, bind](Flags& flags) { bind(flags, *options); },
          [options, run](const CommonOptions& common, const Flags&, Output& out) {
            return run(*options, common, out);
          }};
}

// Parses and runs one of `commands` (of one with verbs, as `hadal tokenizer encode`, the name is
// "tokenizer encode"); returns the exit code. Catches every exception and prints the one-line error.
// `prepare` settles what holds for every command, before any of them.
int run_hadal(const std::vector<Command>& commands, int argc, const char* const* argv,
              void (*prepare)());

// The declared options of a command, without parsing anything.
CommandInfo describe(const Command& command);

// From the same table: command/generate_docs.cc. `shell` is bash, zsh or fish.
std::string overview_help(const std::vector<CommandInfo>& commands);
std::string family_help(const std::vector<CommandInfo>& verbs);  // `hadal tokenizer --help`
// `verbs`: the other commands of its family, for one that also stands alone (`hadal plan`).
std::string command_help(const CommandInfo& command, const std::vector<CommandInfo>& verbs = {});
std::string man_page(const std::vector<CommandInfo>& commands);
std::string completion(const std::vector<CommandInfo>& commands, const std::string& shell);

}  // namespace hadal::cli
