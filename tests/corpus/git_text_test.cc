// Repositories as text: files of the last commit, commits, functions held out of both.
#include "hadal/corpus/git_text.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/corpus/functions.h"
#include "hadal/corpus/run_program.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

std::vector<std::string> names_of(const std::string& path, const std::string& text) {
  std::vector<std::string> names;
  for (const FunctionSpan& each : functions_of(path, text)) {
    names.push_back(each.name + "<" + text.substr(each.body, each.end - each.body) + ">");
  }
  return names;
}

TEST(Functions, OfPythonByIndentation) {
  EXPECT_EQ(names_of("a.py",
                     "import x\ndef one(a,\n        b):\n    y = 1\n\n    return y\n\n"
                     "class C:\n    async def two(self):\n        pass\n        return 2\n"
                     "def short(): \n    return 1\ndef last(a):\n  z\n  w"),
            (std::vector<std::string>{"one<        b):\n    y = 1\n\n    return y\n>",
                                      "two<        pass\n        return 2\n>", "last<  z\n  w>"}));
}

TEST(Functions, OfBracedLanguagesByBraces) {
  EXPECT_EQ(
      names_of("a.cc",
               "namespace n {\nint f(int a) {\n  if (a) {\n    g();\n  }\n}\n"
               "  if (x) {\n  a;\n  }\nauto l = [](int x) {\n  a;\n};\nvoid open(int x) {\n  a;\n"),
      (std::vector<std::string>{"f<  if (a) {\n    g();\n  }\n}\n>"}));
  EXPECT_EQ(names_of("notes.txt", "int f(int a) {\n  a;\n}\n").size(), 0U);
}

class GitTextTest : public ::testing::Test {
 protected:
  GitTextTest() {
    git({"init", "--quiet"});
    for (int i = 0; i < 8; ++i) {
      code_ += "def function_" + std::to_string(i) + "(x):\n    first_line_of_function_" +
               std::to_string(i) + "()\n    return x\n\n";
    }
    folder_.write("project/code.py", code_);
    folder_.write("project/lib/other.py", "value = 1\n");
    folder_.write("project/.gitignore", "ignored.py\n");
    folder_.write("project/ignored.py", "secret\n");
    commit("The first commit");
  }

  void git(std::vector<std::string> arguments) const {
    fs::create_directories(repository());
    arguments.insert(arguments.begin(), {"git", "-c", "user.name=A", "-c", "user.email=a@b"});
    const ProgramResult result = run_program(arguments, repository());
    ASSERT_EQ(result.exit_code, 0) << result.output;
  }
  void commit(const std::string& message) const {
    git({"add", "--all"});
    git({"commit", "--quiet", "-m", message});
  }
  std::string repository() const { return folder_ / "project"; }
  std::string out(const std::string& name) const {
    return test::read_bytes(folder_ / "text/" + name);
  }
  GitText write(double share = 0.3) const {
    return write_git_text(repository(), folder_ / "text", {.held_out_share = share});
  }
  std::vector<Json> lines(const std::string& name) const {
    std::vector<Json> result;
    const std::string text = out(name);
    for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
      result.push_back(parse_json(text.substr(at, text.find('\n', at) - at), name));
    }
    return result;
  }

  const TemporaryFolder folder_;
  std::string code_;
};

TEST_F(GitTextTest, HeldOutFunctionsAreInNeitherFilesNorCommits) {
  const GitText text = write();
  EXPECT_EQ(text.since, "");
  EXPECT_EQ(text.commit.size(), 40U);
  EXPECT_EQ(text.functions, 8);
  EXPECT_GE(text.held_out, 1);
  EXPECT_LT(text.held_out, 8);
  EXPECT_FALSE(fs::exists(folder_ / "text/files/ignored.py"));
  EXPECT_FALSE(fs::exists(folder_ / "text/clone"));
  const std::string code = out("files/code.py");
  std::string together = code;
  for (const Json& held : lines("held_out.jsonl")) {
    EXPECT_EQ(code.find(held.at("text").as_string().substr(0, 30)), std::string::npos);
    EXPECT_EQ(out("commits.jsonl").find(held.at("text").as_string().substr(4, 24)),
              std::string::npos);
    EXPECT_TRUE(held.at("prompt").as_string().ends_with("(x):\n"));
    EXPECT_NE(code_.find(held.at("text").as_string()), std::string::npos);
    together += held.at("text").as_string();
  }
  EXPECT_EQ(text.commits, 1);
  EXPECT_EQ(text.patches, 0);  // it would tell of what is held out
  EXPECT_EQ(lines("commits.jsonl")[0].at("text").as_string(), "The first commit\n");
}

TEST_F(GitTextTest, TheNextCallWritesWhatCameSince) {
  const GitText first = write();
  const std::string held_out = out("held_out.jsonl");
  folder_.write("project/lib/other.py", "value = 2\n");
  folder_.write("project/new.txt", "news\n");
  commit("The second commit");
  const GitText second = write();
  EXPECT_EQ(second.since, first.commit);
  EXPECT_EQ(second.files, 2);
  EXPECT_EQ(out("files/lib/other.py"), "value = 2\n");
  EXPECT_FALSE(fs::exists(folder_ / "text/files/code.py"));
  EXPECT_EQ(out("held_out.jsonl"), held_out);
  ASSERT_EQ(lines("commits.jsonl").size(), 1U);
  const std::string commit = lines("commits.jsonl")[0].at("text").as_string();
  EXPECT_TRUE(commit.starts_with("The second commit\n")) << commit;
  EXPECT_NE(commit.find("+value = 2"), std::string::npos) << commit;
  EXPECT_EQ(write().files, 0);  // and then nothing
}

// Bytes that look like marks between commits: no part of a patch may pass for a message.
TEST_F(GitTextTest, AnyByteMayStandInTextAndMessages) {
  std::string odd = "\x01one\x02two\x01\n" + std::string(9000, 'x') + "\n";
  odd += std::string(1, '\0') + "three" + std::string(1, '\0') + "\n";
  folder_.write("project/a_marks.txt", odd);  // git shows it before other.py
  folder_.write("project/code.py", code_ + "# " + std::string(30, 'y') + "\n");
  commit("marks \x01 and \x02");
  const GitText text = write();
  EXPECT_EQ(text.commits, 2);
  const std::vector<Json> commits = lines("commits.jsonl");
  ASSERT_EQ(commits.size(), 2U);
  EXPECT_EQ(commits[0].at("text").as_string(), "The first commit\n");
  EXPECT_EQ(commits[1].at("name").as_string(), text.commit);
  EXPECT_TRUE(commits[1].at("text").as_string().starts_with("marks \x01 and \x02\n"));
  for (const Json& held : lines("held_out.jsonl")) {
    EXPECT_EQ(out("commits.jsonl").find(held.at("text").as_string().substr(4, 24)),
              std::string::npos);
  }
}

TEST_F(GitTextTest, NamesOfCommitsMayBeSha256) {
  fs::remove_all(repository());
  git({"init", "--quiet", "--object-format=sha256"});
  folder_.write("project/code.py", code_);
  commit("First");
  const GitText text = write();
  EXPECT_EQ(text.commit.size(), 64U);
  EXPECT_EQ(text.functions, 8);
  EXPECT_EQ(write().since, text.commit);
}

TEST_F(GitTextTest, FilesMayBeLeftOut) {
  folder_.write("project/lib/picture.svg", "<svg>4711</svg>");
  folder_.write("project/lib/other.py", "value = 2\n");
  commit("A picture and a value");
  folder_.write("project/lib/picture.svg", "<svg>0815</svg>");
  commit("Another picture");
  git({"commit", "--quiet", "--allow-empty", "-m", "Nothing"});
  EXPECT_EQ(write().commits, 4);
  EXPECT_TRUE(fs::exists(folder_ / "text/files/lib/picture.svg"));
  fs::remove_all(folder_ / "text");
  const auto without = [&](const std::vector<std::string>& patterns) {
    return write_git_text(repository(), folder_ / "text", {.without = patterns});
  };
  EXPECT_EQ(without({"*.svg"}).commits, 2);
  EXPECT_EQ(out("commits.jsonl").find("svg"), std::string::npos);
  EXPECT_NE(out("commits.jsonl").find("value = 2"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "text/files/lib/picture.svg"));
  EXPECT_TRUE(fs::exists(folder_ / "text/files/lib/other.py"));
  fs::remove_all(folder_ / "text");
  EXPECT_EQ(without({"lib", "code.py"}).functions, 0);
  EXPECT_FALSE(fs::exists(folder_ / "text/files/lib"));
  EXPECT_EQ(test::refusal_of([&] { without({""}); }).field, "without");
}

TEST_F(GitTextTest, WithoutAShareNothingIsHeldOut) {
  const GitText text = write(0.0);
  EXPECT_EQ(text.held_out, 0);
  EXPECT_EQ(text.patches, 1);
  EXPECT_EQ(out("files/code.py"), code_);
}

TEST_F(GitTextTest, WhatIsNoRepositoryIsRefusedAndNothingIsWritten) {
  const TemporaryFolder plain;
  test::expect_refused<FormatError>([&] { write_git_text(plain / "", folder_ / "x"); },
                                    "git cannot clone it");
  test::expect_refused<ConfigError>([&] { write_git_text(plain / "nowhere", folder_ / "x"); },
                                    "no such folder");
  test::expect_refused<ConfigError>([&] { write_git_text(repository(), plain.path()); },
                                    "holds something else");
  test::expect_refused<ConfigError>(
      [&] { write_git_text(repository(), folder_ / "x", {.max_patch_bytes = -1}); },
      "max_patch_bytes");
  const std::string unborn = folder_ / "unborn";
  fs::create_directories(unborn);
  run_program({"git", "init", "--quiet"}, unborn);
  test::expect_refused<FormatError>([&] { write_git_text(unborn, folder_ / "x"); },
                                    unborn + ": git");
  EXPECT_FALSE(fs::exists(folder_ / "x"));
  write();
  folder_.write(
      "text/state.json",
      R"({"format": "hadal git text 1", "commit": "0123456789012345678901234567890123456789"})");
  test::expect_refused<FormatError>([&] { write(); }, "its commit is not in the history");
}

}  // namespace
}  // namespace hadal
