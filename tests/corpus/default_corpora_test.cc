#include "hadal/corpus/default_corpora.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/corpus/run_program.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using test::TemporaryFolder;

TEST(RunProgram, ReportsOutputAndExitCode) {
  const TemporaryFolder folder;
  const ProgramResult result =
      run_program({"sh", "-c", "echo out; echo err >&2; pwd; exit 7"}, folder.path());
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.output,
            "out\nerr\n" + std::filesystem::canonical(folder.path()).string() + "\n");
  EXPECT_EQ(run_program({"sh", "-c", "kill -9 $$"}, folder.path()).exit_code, 128 + 9);
}

TEST(RunProgram, ArgumentsAreNeverInterpreted) {
  const TemporaryFolder folder;
  const std::string hostile = "a; touch b; $(touch c) `touch d` | 'e";
  EXPECT_EQ(run_program({"printf", "%s", hostile}, folder.path()).output, hostile);
  EXPECT_TRUE(folder.names().empty());
}

TEST(RunProgram, KeepsTheEndOfLongOutput) {
  const TemporaryFolder folder;
  const ProgramResult result = run_program({"seq", "200000"}, folder.path());
  EXPECT_LE(result.output.size(), size_t{1} << 16);
  EXPECT_TRUE(result.output.ends_with("199999\n200000\n"));
}

TEST(RunProgram, MissingProgramIsUnavailable) {
  test::expect_refused<Unavailable>([] { run_program({"no-such-program-anywhere"}, "/"); },
                                    "no-such-program-anywhere: cannot be started (");
}

TEST(DefaultCorpora, UnknownNameListsTheKnownOnes) {
  try {
    find_default_corpus("nope");
    FAIL();
  } catch (const ConfigError& error) {
    for (const DefaultCorpus& corpus : default_corpora()) {
      EXPECT_NE(std::string(error.what()).find(corpus.name), std::string::npos);
    }
  }
}

// PATH as it was, whatever the test does to it.
class PathGuard {
 public:
  explicit PathGuard(const std::string& value) : old_(std::getenv("PATH")) {
    setenv("PATH", value.c_str(), 1);
  }
  ~PathGuard() { setenv("PATH", old_.c_str(), 1); }

 private:
  std::string old_;
};

TEST(DefaultCorpora, WithoutAptTheUsersOwnTextIsSuggested) {
  const TemporaryFolder cache, empty;
  const PathGuard path(empty.path());
  try {
    fetch_default_corpus(find_default_corpus("tiny"), cache.path());
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_NE(error.advice.find("{data} PATH"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(cache / "data/tiny/text"));
}

TEST(DefaultCorpora, UnknownPackageNamesTheWayOut) {
  const TemporaryFolder cache;
  const DefaultCorpus corpus{"odd", "", "", {{"no-such-package-$(touch x)", {".html"}, {}}}};
  try {
    fetch_default_corpus(corpus, cache.path());
    FAIL();
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("apt-get update"), std::string::npos);
  }
  EXPECT_FALSE(std::filesystem::exists(cache / "data/odd/debs/x"));
}

}  // namespace
}  // namespace hadal
