// What a hostile template costs is counted before it is spent, also where a value is cheap to make and
// dear to go through: lists in lists share their values, so twenty of them can hold a million.
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/core/utf8.h"
#include "hadal/jinja/template.h"

namespace hadal::jinja {
namespace {

// The problem of the refusal; nothing if it renders.
std::string problem_of(const std::string& source, const Limits& limits = {}) {
  try {
    Template(source, "T").render({}, 0, limits);
  } catch (const FormatError& error) {
    return error.problem;
  }
  return "";
}

constexpr Limits kMebibyte{.bytes = int64_t{1} << 20};
constexpr const char* kTooMuch = "the template makes too much text";
constexpr const char* kTooLong = "the template runs too long";

// Two values of 2^20 leaves each that have no list in common.
const std::string kTwins =
    "{% set n = namespace(a=['x'], b=['x']) %}{% for i in range(20) %}"
    "{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% endfor %}";

TEST(Hostile, ComparisonsAreCharged) {
  for (const char* use : {"{{ n.a == n.b }}", "{{ n.a != n.b }}", "{{ n.a < n.b }}",
                          "{{ n.a in [n.b] }}", "{{ [n.b].index(n.a) }}", "{{ [n.b].count(n.a) }}",
                          "{{ [n.a, n.b] | unique | list | length }}",
                          "{{ [n.a, n.b] | sort | length }}", "{{ n.a is eq n.b }}"}) {
    EXPECT_EQ(problem_of(kTwins + use, kMebibyte), kTooMuch) << use;
  }
  EXPECT_EQ(problem_of("{% set s = 'x' * 9999 %}{% set t = 'x' * 9999 %}{% for i in range(999) %}"
                       "{% set u = s == t %}{% endfor %}",
                       kMebibyte),
            kTooMuch);
}

TEST(Hostile, PrintingIsChargedPieceByPiece) {
  Value value = Value(Text("x", Origin::kData));
  for (int i = 0; i < 10; ++i) {
    value = Value(std::make_shared<const List>(List{.items = {value, value}, .depth = i + 1}));
  }
  size_t sum = 0, largest = 0;
  const auto spend = [&](size_t bytes) {
    sum += bytes;
    largest = std::max(largest, bytes);
  };
  const size_t n = printed_value(value, spend)->size();
  EXPECT_GE(sum, n);
  EXPECT_LE(largest, 16U);
  sum = 0;
  const JsonStyle style{.indent = std::string(10, ' '), .item_separator = ";"};
  EXPECT_LE(json_text(value, style, spend)->size(), sum);
  EXPECT_LE(largest, 16U);
  EXPECT_EQ(problem_of(kTwins + "{{ n.a }}", kMebibyte), kTooMuch);
  EXPECT_EQ(problem_of(kTwins + "{{ n.a | tojson }}", kMebibyte), kTooMuch);
}

TEST(Hostile, SearchesForLongWordsAreCharged) {
  const std::string texts =
      "{% set s = 'a' * 100000 %}{% set w = 'a' * 50000 + 'b' %}{% set v = s ~ s %}";
  EXPECT_EQ(problem_of(texts, kMebibyte), "");
  for (const char* use :
       {"w in s", "s.find(w)", "s.rfind(w)", "s.count(w)", "s.split(w) | length",
        "s.rsplit(w, 1) | length", "s.partition(w) | length", "s.replace(w, '')"}) {
    EXPECT_EQ(problem_of(texts + "{% set x = " + use + " %}", kMebibyte), kTooMuch) << use;
  }
  EXPECT_EQ(problem_of(texts + "{% for i in range(20) %}{% if v.startswith(s) %}{% endif %}"
                               "{% endfor %}",
                       kMebibyte),
            kTooMuch);
}

TEST(Hostile, EmptyPartsOfATextAreCharged) {
  EXPECT_EQ(problem_of("{{ ('x' * 9000).split('x') | length }}", kMebibyte), kTooMuch);
  EXPECT_EQ(problem_of("{{ ('x' * 9000).rsplit('x') | length }}", kMebibyte), kTooMuch);
  EXPECT_EQ(problem_of("{{ ('x ' * 9000).split() | length }}", kMebibyte), kTooMuch);
  EXPECT_EQ(problem_of("{{ ('\\n' * 9000).splitlines() | length }}", kMebibyte), kTooMuch);
  EXPECT_EQ(problem_of("{{ ('x' * 5000).split('x') | length }}", kMebibyte), "");
}

TEST(Hostile, ManyNamesTakeStepsToFind) {
  const Limits limits{.steps = 30'000};
  std::string sets, parameters, members;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = concat("a", i);
    sets += "{% set " + name + " = 1 %}";
    parameters += name + ", ";
    members += "'" + name + "': 1, ";
  }
  EXPECT_EQ(problem_of(sets, limits), kTooLong);
  EXPECT_EQ(problem_of("{% macro m(" + parameters + ") %}{% endmacro %}{{ m() }}", limits),
            kTooLong);
  EXPECT_EQ(problem_of("{% set d = {" + members + "} %}", limits), kTooLong);
  EXPECT_EQ(problem_of("{% set d = {" + members +
                           "} %}{% for i in range(20) %}{% set n = namespace(d) %}{% endfor %}",
                       kMebibyte),
            kTooMuch);
}

// A loop holds its list, which may hold the loop before: that is depth as well.
TEST(Hostile, LoopsKeptInLoopsAreNested) {
  EXPECT_EQ(problem_of("{% set n = namespace(l=1) %}{% for i in range(500) %}{% for x in [n.l] %}"
                       "{% set n.l = loop %}{% endfor %}{% endfor %}"),
            "lists nested too deeply");
}

TEST(Hostile, ANameThatIsNotThereIsCutToItsBeginning) {
  EXPECT_EQ(Undefined("name").name, "name");
  const std::string name = Undefined("n" + std::string(99, '\xC3').append("x")).name;
  EXPECT_LE(name.size(), 60U);
  std::string letters = "n";
  for (int i = 0; i < 50; ++i) letters += "é";
  EXPECT_EQ(Undefined(letters).name, letters.substr(0, 59)) << "whole characters";
}

TEST(Hostile, ArgumentsWithOneNameAreRefused) {
  EXPECT_EQ(problem_of("{{ dict(a=1, a=2) }}"), "argument given twice");
  std::string many;
  for (int i = 0; i < 256; ++i) many += concat("a", i, "=1, ");
  EXPECT_EQ(problem_of("{{ dict(" + many + ") }}"), "too many arguments with names");
}

}  // namespace
}  // namespace hadal::jinja
