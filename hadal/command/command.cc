#include "hadal/command/command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <deque>
#include <map>
#include <new>
#include <random>

#include "hadal/core/error.h"
#include "hadal/core/interrupt.h"
#include "hadal/core/joined.h"
#include "hadal/core/log.h"
#include "hadal/core/nearest.h"
#include "hadal/core/thread_pool.h"

namespace hadal::cli {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::string part;
  for (std::istringstream in(text); std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

// "max-tokens,-n" -> {"--max-tokens", "-n"}
std::vector<std::string> option_names(const std::string& declared) {
  std::vector<std::string> names = split(declared, ',');
  for (std::string& name : names) {
    if (name[0] != '-') name = "--" + name;
  }
  return names;
}

template <class Number>
Number parse_number(const std::string& option, const std::string& text, const char* expected) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size(), {.field = option,
                                                                     .problem = "not a number here",
                                                                     .found = {"\"", text, "\""},
                                                                     .expected = expected});
  return value;
}

std::string plain_number(double value) { return Json(value).dump(); }

}  // namespace

// Values arrive as text and are converted after parsing, so that every message has hadal's form.
struct Flags::Impl {
  struct Slot {
    OptionInfo info;
    std::string text;                // the one value, or
    std::vector<std::string> texts;  // all values of a repeatable option
    bool seen = false;
    std::function<void(const Slot&)> assign;
    const std::string& label() const { return info.names.front(); }
  };
  CommandInfo command;
  std::deque<Slot> slots;  // stable addresses: CLI11 writes into them
  std::map<std::string, std::string> option_of_library_name;

  // "draft_tokens" -> "--speculate", "max_tokens" -> "--max-tokens"; what is no option stays.
  std::string option_of(const std::string& field) const {
    const auto listed = option_of_library_name.find(field);
    if (listed != option_of_library_name.end()) return listed->second;
    std::string option = "--" + field.substr(field.rfind('.') + 1);  // "data.seq_len", too
    std::replace(option.begin(), option.end(), '_', '-');
    const bool known = std::any_of(slots.begin(), slots.end(), [&](const Slot& slot) {
      return std::count(slot.info.names.begin(), slot.info.names.end(), option) > 0;
    });
    return known ? option : field;
  }

  void add(OptionInfo info, std::function<void(const Slot&)> assign) {
    command.options.push_back(info);
    slots.push_back({std::move(info), {}, {}, false, std::move(assign)});
  }
  void attach(CLI::App& app) {
    for (Slot& slot : slots) {
      CLI::Option* option = nullptr;
      const std::string names = joined(slot.info.names, ",");
      if (slot.info.value_name.empty()) {
        option = app.add_flag(names, slot.info.help);
      } else if (slot.info.is_repeatable) {
        option = app.add_option(names, slot.texts, slot.info.help);
      } else {
        option = app.add_option(names, slot.text, slot.info.help);
        // `--seed 1 --seed 2` means 2, as scripts that append options expect.
        if (!slot.info.is_positional) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      }
      option->each([&slot](const std::string&) { slot.seen = true; });
    }
  }
  void convert(const CLI::App& app) {
    for (Slot& slot : slots) {
      const std::string name = slot.label();
      slot.seen = app.count(name) > 0;
      if (!slot.seen) {
        require(!slot.info.is_required, {.field = name,
                                         .problem = "missing",
                                         .expected = slot.info.help,
                                         .advice = {"see hadal ", command.name, " --help"}});
        continue;
      }
      if (!slot.info.choices.empty()) {
        const std::string& found = slot.text;
        require(std::find(slot.info.choices.begin(), slot.info.choices.end(), found) !=
                    slot.info.choices.end(),
                {.field = name,
                 .problem = "unknown value",
                 .found = found,
                 .expected = joined(slot.info.choices, ", "),
                 .advice = did_you_mean(found, slot.info.choices)});
      }
      slot.assign(slot);
    }
  }
};

void Flags::required(const std::string& name, std::string& value, const std::string& help) {
  impl_.add({option_names(name), "TEXT", help, "", {}, true, false, false},
            [&value](const Impl::Slot& slot) { value = slot.text; });
}

void Flags::option(const std::string& name, std::string& value, const std::string& help) {
  impl_.add({option_names(name), "TEXT", help, value, {}, false, false, false},
            [&value](const Impl::Slot& slot) { value = slot.text; });
}

void Flags::option(const std::string& name, int64_t& value, const std::string& help) {
  impl_.add({option_names(name), "N", help, std::to_string(value), {}, false, false, false},
            [&value](const Impl::Slot& slot) {
              value = parse_number<int64_t>(slot.label(), slot.text, "a whole number");
            });
}

void Flags::option(const std::string& name, double& value, const std::string& help) {
  impl_.add({option_names(name), "X", help, plain_number(value), {}, false, false, false},
            [&value](const Impl::Slot& slot) {
              value = parse_number<double>(slot.label(), slot.text, "a number");
            });
}

void Flags::option(const std::string& name, std::optional<int64_t>& value,
                   const std::string& help) {
  impl_.add({option_names(name), "N", help, "", {}, false, false, false},
            [&value](const Impl::Slot& slot) {
              value = parse_number<int64_t>(slot.label(), slot.text, "a whole number");
            });
}

void Flags::option(const std::string& name, std::optional<double>& value, const std::string& help) {
  impl_.add({option_names(name), "X", help, "", {}, false, false, false},
            [&value](const Impl::Slot& slot) {
              value = parse_number<double>(slot.label(), slot.text, "a number");
            });
}

void Flags::option(const std::string& name, std::vector<std::string>& value,
                   const std::string& help) {
  impl_.add({option_names(name), "TEXT", help, "", {}, false, false, true},
            [&value](const Impl::Slot& slot) { value = slot.texts; });
}

void Flags::choice(const std::string& name, std::string& value,
                   const std::vector<std::string>& allowed, const std::string& help) {
  impl_.add({option_names(name), joined(allowed, "|"), help, value, allowed, false, false, false},
            [&value](const Impl::Slot& slot) { value = slot.text; });
}

void Flags::flag(const std::string& name, bool& value, const std::string& help) {
  impl_.add({option_names(name), "", help, "", {}, false, false, false},
            [&value](const Impl::Slot&) { value = true; });
}

void Flags::positional(const std::string& name, std::string& value, const std::string& help,
                       bool is_required) {
  impl_.add({{name}, "TEXT", help, "", {}, is_required, true, false},
            [&value](const Impl::Slot& slot) { value = slot.text; });
}

void Flags::positional(const std::string& name, std::vector<std::string>& value,
                       const std::string& help) {
  impl_.add({{name}, "TEXT", help, "", {}, false, true, true},
            [&value](const Impl::Slot& slot) { value = slot.texts; });
}

bool Flags::given(const std::string& name) const {
  for (const Impl::Slot& slot : impl_.slots) {
    for (const std::string& spelled : slot.info.names) {
      if (spelled == name || spelled == "--" + name) return slot.seen;
    }
  }
  return false;
}

void Flags::library_names(const std::vector<std::pair<std::string, std::string>>& name_and_option) {
  impl_.option_of_library_name.insert(name_and_option.begin(), name_and_option.end());
}

void Flags::example(const std::string& line, const std::string& meaning) {
  impl_.command.examples.emplace_back(line, meaning);
}

namespace {

struct Common {
  CommonOptions options;
  int64_t threads = 0, seed = 0;
};

void bind_common(Flags& flags, Common& common) {
  flags.flag("json", common.options.json, "print exactly one JSON document on stdout");
  flags.flag("quiet,-q", common.options.quiet, "no progress, no notes");
  flags.option("threads,-t", common.threads, "threads; 0 = the cores this process may use");
  flags.option("seed", common.seed, "seed of everything random; -1: another one every time");
  flags.choice("device", common.options.device, {"cpu", "cuda"}, "where models compute");
}

void settle_common(const Flags& flags, Common& common) {
  CommonOptions& options = common.options;
  require(common.threads >= 0 && common.threads <= 1024,
          {.field = "--threads",
           .problem = "out of range",
           .found = common.threads,
           .expected = "1 to 1024, or 0 for all cores"});
  require(common.seed >= -1, {.field = "--seed",
                              .problem = "out of range",
                              .found = common.seed,
                              .expected = "0 or more, or -1 for another one every time"});
  options.threads = common.threads == 0 ? available_cores() : static_cast<int>(common.threads);
  const bool any = common.seed == -1;
  options.seed = any ? std::random_device()() : static_cast<uint64_t>(common.seed);
  options.seed_given = flags.given("seed");
  Terminal seen = detect_terminal();
  seen.quiet = options.quiet;
  set_terminal(seen);
  if (any) log_note("seed ", options.seed);
}

// The words before the first option that name a command: "tokenizer encode" before "tokenizer".
const Command* find_command(const std::vector<Command>& commands, int argc, const char* const* argv,
                            int& words_used) {
  for (int words = std::min(2, argc - 1); words >= 1; --words) {
    std::string name = argv[1];
    if (words == 2) name += std::string(" ") + argv[2];
    for (const Command& command : commands) {
      if (command.name == name) {
        words_used = words;
        return &command;
      }
    }
  }
  return nullptr;
}

[[noreturn]] void unknown_command(const std::vector<Command>& commands, int argc,
                                  const char* const* argv) {
  const std::string word = argv[1];
  std::vector<std::string> names, verbs;
  for (const Command& command : commands) {
    names.push_back(split(command.name, ' ').front());
    if (command.name.starts_with(word + " ")) verbs.push_back(command.name.substr(word.size() + 1));
  }
  if (!verbs.empty()) {
    const std::string found = argc > 2 ? argv[2] : "nothing";
    throw ConfigError({.field = word,
                       .problem = "needs a verb",
                       .found = found,
                       .expected = joined(verbs, ", "),
                       .advice = did_you_mean(found, verbs)});
  }
  throw ConfigError({.field = word,
                     .problem = "no such command",
                     .advice = did_you_mean(word, names, "see hadal --help")});
}

[[noreturn]] void refuse_arguments(const std::vector<std::string>& extras,
                                   const CommandInfo& command,
                                   const std::vector<CommandInfo>& verbs) {
  std::vector<std::string> known;
  for (const CommandInfo& verb : verbs) known.push_back(verb.name.substr(command.name.size() + 1));
  for (const OptionInfo& option : command.options) {
    known.insert(known.end(), option.names.begin(), option.names.end());
  }
  const std::string word = extras.front().substr(0, extras.front().find('='));
  throw ConfigError(
      {.field = word,
       .problem = {"hadal ", command.name, " has no such ",
                   word.starts_with("-") ? "option" : "argument"},
       .advice = did_you_mean(word, known, concat("see hadal ", command.name, " --help"))});
}

// The commands "plan experts", "plan sweep", ... of the family "plan".
std::vector<CommandInfo> verbs_of_family(const std::vector<Command>& commands,
                                         const std::string& family) {
  std::vector<CommandInfo> verbs;
  for (const Command& command : commands) {
    if (command.name.starts_with(family + " ")) verbs.push_back(describe(command));
  }
  return verbs;
}

int report(const Error& error, const NameOf& option_of) {
  const bool asked_for = dynamic_cast<const Interrupted*>(&error) != nullptr;
  log_line(asked_for ? "" : "error: ", error.line(option_of));
  return error.exit_code();
}

int run_command(const std::vector<Command>& commands, const Command& command, int words, int argc,
                const char* const* argv) {
  Flags::Impl impl;
  Flags flags(impl);
  Common common;
  impl.command.name = command.name;
  impl.command.summary = command.summary;
  command.bind(flags);
  bind_common(flags, common);

  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  impl.attach(app);
  const std::vector<CommandInfo> verbs = verbs_of_family(commands, command.name);
  std::vector<std::string> arguments(argv + 1 + words, argv + argc);
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument == "--help" || argument == "-h") {
      std::fputs(command_help(impl.command, verbs).c_str(), stdout);
      return 0;
    }
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    throw ConfigError({.problem = error.what(), .advice = {"see hadal ", command.name, " --help"}});
  }
  if (const auto extras = app.remaining(); !extras.empty()) {
    refuse_arguments(extras, impl.command, verbs);
  }
  impl.convert(app);
  settle_common(flags, common);
  const NameOf option_of = [&impl](const std::string& field) { return impl.option_of(field); };
  Output out(common.options.json, option_of);
  try {
    return command.run(common.options, flags, out);
  } catch (const Error& error) {
    return report(error, option_of);
  }
}

int dispatch(const std::vector<Command>& commands, int argc, const char* const* argv) {
  const std::string first = argc > 1 ? argv[1] : "--help";
  if (first == "--version") {
    std::fputs("hadal " HADAL_VERSION "\n", stdout);
    return 0;
  }
  if (first == "--help" || first == "-h" || first == "help") {
    std::vector<CommandInfo> infos;
    for (const Command& command : commands) infos.push_back(describe(command));
    std::fputs(overview_help(infos).c_str(), stdout);
    return 0;
  }
  int words = 0;
  const Command* command = find_command(commands, argc, argv, words);
  if (!command && argc > 2 && (std::string(argv[2]) == "--help" || std::string(argv[2]) == "-h")) {
    // `hadal tokenizer --help`: the verbs of a family.
    const std::vector<CommandInfo> verbs = verbs_of_family(commands, first);
    if (!verbs.empty()) {
      std::fputs(family_help(verbs).c_str(), stdout);
      return 0;
    }
  }
  if (!command) unknown_command(commands, argc, argv);
  return run_command(commands, *command, words, argc, argv);
}

}  // namespace

CommandInfo describe(const Command& command) {
  Flags::Impl impl;
  Flags flags(impl);
  Common common;
  impl.command.name = command.name;
  impl.command.summary = command.summary;
  command.bind(flags);
  bind_common(flags, common);
  return impl.command;
}

int run_hadal(const std::vector<Command>& commands, int argc, const char* const* argv,
              void (*prepare)()) {
  set_terminal(detect_terminal());
  try {
    prepare();
    const int code = dispatch(commands, argc, argv);
    // A full disk shows only now, or in the middle: then only the stream remembers.
    const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    if (written || code != 0) return code;  // one error, one line
    throw IoError("standard output: cannot be written; is the disk full?");
  } catch (const Error& error) {
    return report(error, plain_name);
  } catch (const std::bad_alloc&) {
    log_line("error: ", "memory: not enough for this work; use a smaller model, batch or context");
    return 1;
  } catch (const std::exception& error) {
    log_line("error: ", error.what());
    return 1;
  }
}

}  // namespace hadal::cli
