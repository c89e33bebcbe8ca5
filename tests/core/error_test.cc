// What an error says in fields, and the line each edge makes of them.
#include "hadal/core/error.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

std::string option(const std::string& field) {
  return field == "draft_tokens" ? "--speculate" : field == "top_p" ? "--top-p" : field;
}

TEST(Error, RequireKeepsWhatWasSaidInFields) {
  const double top_p = 1.5;
  const std::string unit = "tokens";
  try {
    require(top_p <= 1, {.field = "top_p",
                         .problem = "out of range",
                         .found = top_p,
                         .expected = {"more than 0 ", unit + "!", ", at most ", 1},
                         .advice = "1 switches it off"});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.place, "");
    EXPECT_EQ(error.field, "top_p");
    EXPECT_EQ(error.problem, "out of range");
    EXPECT_EQ(error.found, "1.5");
    EXPECT_EQ(error.expected, "more than 0 tokens!, at most 1");
    EXPECT_EQ(error.advice, "1 switches it off");
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_STREQ(error.what(),
                 "top_p: out of range (found 1.5, expected more than 0 tokens!, at most 1); "
                 "1 switches it off");
    EXPECT_EQ(error.line(option),
              "--top-p: out of range (found 1.5, expected more than 0 tokens!, at most 1); "
              "1 switches it off");
  }
}

struct Costly {};
std::ostream& operator<<(std::ostream& out, const Costly&) {
  ADD_FAILURE() << "nobody asked for the text";
  return out;
}

TEST(Error, WhatHoldsIsNeverWritten) {
  require(true, {.field = "x", .problem = "wrong", .found = {"a ", Costly()}});
}

TEST(Error, WhatAFileHeldIsShortAndHarmlessInEveryField) {
  const std::string hostile = "\x1b[2J\xFF" + std::string(1 << 20, 'x');
  const FormatError error(Complaint{.place = "a\nb", .problem = "wrong", .found = hostile});
  EXPECT_EQ(error.place, "a b");
  EXPECT_LT(error.found.size(), 500U);
  EXPECT_TRUE(std::string(error.what()).starts_with("a b: wrong (found \\x1b[2J\\xffxxx"));
  const std::string plain = FormatError(hostile + "; mend it").what();
  EXPECT_TRUE(plain.starts_with("\\x1b[2J\\xffxxx"));
  EXPECT_TRUE(plain.ends_with("; mend it"));
  EXPECT_LT(plain.size(), 5000U);
}

TEST(Error, WhatIsNotSaidLeavesNoTrace) {
  const auto line = [](const Complaint& why) { return Refusal(why).line(); };
  EXPECT_EQ(line({.field = "x", .problem = "wrong"}), "x: wrong");
  EXPECT_EQ(line({.field = "x", .problem = "wrong", .found = 3}), "x: wrong (found 3)");
  EXPECT_EQ(line({.field = "x", .problem = "wrong", .expected = 3}), "x: wrong (expected 3)");
  EXPECT_EQ(line({.field = "x", .problem = "wrong", .advice = "mend it"}), "x: wrong; mend it");
  EXPECT_EQ(line({.place = "a.json", .problem = "wrong"}), "a.json: wrong");
  EXPECT_EQ(line({.problem = "wrong"}), "wrong");
  EXPECT_TRUE(Refusal().empty());
}

TEST(Error, BracesNameSettingsAndNothingElse) {
  const Refusal why = Complaint{.field = "draft_tokens",
                                .problem = "more than {top_p}",
                                .found = "{top_p}",  // the user's own text
                                .expected = "{top_p} or {\"top_p\": 1}",
                                .advice = {"set {draft_tokens} to 0, or {other} { or {}"}};
  EXPECT_EQ(why.line(),
            "draft_tokens: more than top_p (found {top_p}, expected top_p or {\"top_p\": 1}); "
            "set draft_tokens to 0, or other { or {}");
  EXPECT_EQ(why.line(option),
            "--speculate: more than --top-p (found {top_p}, expected --top-p or {\"top_p\": 1}); "
            "set --speculate to 0, or other { or {}");
  // Left open for a later edge, it is the same line there.
  EXPECT_EQ(
      with_names(Refusal(Complaint{.field = "top_p", .problem = "low"}).line(in_braces), option),
      "--top-p: low");
}

TEST(Error, AFieldOfAPlaceIsNoSettingOfTheCaller) {
  EXPECT_EQ(Refusal(Complaint{.place = "run.toml: line 7", .field = "top_p", .problem = "low"})
                .line(option),
            "run.toml: line 7: top_p: low");
  EXPECT_EQ(Refusal(Complaint{.place = "{top_p}", .field = "p", .problem = "low"}).line(option),
            "--top-p: p: low");
  EXPECT_EQ(Refusal(Complaint{.place = "my{top_p}.json", .problem = "low"}).line(option),
            "my{top_p}.json: low");
  const Refusal cell = Complaint{.field = "gpus", .problem = "low"};
  EXPECT_EQ(cell.in("{top_p}").line(option), "--top-p: gpus: low");
  EXPECT_EQ(cell.in("b").in("a").line(), "a: b: gpus: low");
  EXPECT_EQ(cell.in("b").in("a").field, "gpus");
}

TEST(Error, ATextAloneIsPrintedAsItIs) {
  const FormatError error("a.json: {top_p} is no key");
  EXPECT_EQ(error.problem, "");
  EXPECT_EQ(error.line(option), "a.json: {top_p} is no key");
}

}  // namespace
}  // namespace hadal
