#include "hadal/command/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "hadal/cli/commands.h"

namespace hadal::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const OptionInfo* find_option(const CommandInfo& command, const std::string& name) {
  for (const OptionInfo& option : command.options) {
    for (const std::string& spelled : option.names) {
      if (spelled == name) return &option;
    }
  }
  return nullptr;
}

std::vector<CommandInfo> all_infos() {
  std::vector<CommandInfo> infos;
  for (const Command& command : all_commands()) infos.push_back(describe(command));
  return infos;
}

TEST(Commands, EveryCommandHasTheCommonOptionsAHelpLineAndAnExample) {
  for (const CommandInfo& command : all_infos()) {
    SCOPED_TRACE(command.name);
    EXPECT_FALSE(command.summary.empty());
    EXPECT_FALSE(command.examples.empty());
    for (const char* common : {"--json", "--quiet", "--threads", "--seed", "--device"}) {
      EXPECT_TRUE(find_option(command, common)) << common;
    }
    for (const OptionInfo& option : command.options)
      EXPECT_FALSE(option.help.empty()) << option.names[0];
  }
}

TEST(Commands, NoOptionNameStandsTwiceInOneCommand) {
  for (const CommandInfo& command : all_infos()) {
    std::set<std::string> seen;
    for (const OptionInfo& option : command.options) {
      for (const std::string& name : option.names) {
        EXPECT_TRUE(seen.insert(name).second) << command.name << " " << name;
      }
    }
  }
}

TEST(Commands, ManPageAndCompletionsNameEveryCommandAndOption) {
  const std::vector<CommandInfo> infos = all_infos();
  const std::string man = man_page(infos);
  for (const CommandInfo& command : infos) {
    const std::string family = command.name.substr(0, command.name.find(' '));
    for (const char* shell : {"bash", "zsh", "fish"}) {
      EXPECT_THAT(completion(infos, shell), HasSubstr(family)) << shell;
    }
    for (const OptionInfo& option : command.options) {
      if (option.is_positional) continue;
      const std::string bare = option.names.front().substr(2);
      EXPECT_THAT(completion(infos, "bash"), HasSubstr("--" + bare));
      EXPECT_THAT(completion(infos, "fish"), HasSubstr("-l " + bare));
      std::string escaped;
      for (const char c : option.names.front()) escaped += c == '-' ? "\\-" : std::string(1, c);
      EXPECT_THAT(man, HasSubstr(escaped));
    }
  }
}

TEST(Commands, AFamilyThatIsACommandItselfNamesItsVerbs) {
  const CommandInfo plan{"plan", "predict", {}, {{{"--model"}, "TEXT", "the model", "", {}}}};
  const CommandInfo experts{
      "plan experts", "place experts", {}, {{{"--gpus"}, "N", "GPUs", "", {}}}};
  EXPECT_THAT(command_help(plan, {experts}), HasSubstr("plan experts  place experts"));
  // Options of the bare command are offered until a verb stands there.
  EXPECT_THAT(completion({plan, experts}, "bash"), HasSubstr("[[ $current != -* ]]"));
  EXPECT_THAT(completion({plan, experts}, "zsh"), HasSubstr("case $words[3] in experts)"));
  EXPECT_THAT(completion({plan, experts}, "fish"),
              HasSubstr("and not __fish_seen_subcommand_from experts"));
}

TEST(Flags, HelpShowsExamplesBeforeOptions) {
  const std::string help = command_help(describe(all_commands().front()));
  ASSERT_THAT(help, HasSubstr("examples:"));
  EXPECT_LT(help.find("examples:"), help.find("--json"));
}

}  // namespace
}  // namespace hadal::cli
