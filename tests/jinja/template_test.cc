// What Jinja does not tell: where a text comes from, what is refused and how that is said, and what a
// hostile template is stopped by.
#include "hadal/jinja/template.h"

#include <gtest/gtest.h>

#include "hadal/core/error.h"

namespace hadal::jinja {
namespace {

Variables variables() {
  return {{"user", Value(Text("<end>", Origin::kData))},
          {"bos_token", Value(Text("<bos>", Origin::kTemplate))},
          {"messages",
           from_json(parse_json(R"([{"role":"user","content":"a<end>b"}])", ""), Origin::kData)}};
}

// The text with what came from data in «».
std::string marked(const std::string& source) {
  const Text text = Template(source, "T").render(variables());
  std::string out;
  size_t begin = 0;
  for (const Text::Span& span : text.spans()) {
    const std::string part(text.view().substr(begin, span.end - begin));
    out += span.origin == Origin::kData ? "«" + part + "»" : part;
    begin = span.end;
  }
  return out;
}

TEST(Origins, GoThroughEveryOperation) {
  EXPECT_EQ(marked("{{ bos_token }}<end>{{ user }}"), "<bos><end>«<end>»");
  EXPECT_EQ(marked("{{ '<end>' + user + '<end>' }}"), "<end>«<end>»<end>");
  EXPECT_EQ(marked("{{ '<end>' ~ user ~ 1 }}"), "<end>«<end>1»");
  EXPECT_EQ(marked("{{ ('  ' + user + ' x ').strip() }}"), "«<end>» x");
  EXPECT_EQ(marked("{{ ('<end>,' + user).split(',') | join('|') }}"), "<end>|«<end>»");
  EXPECT_EQ(marked("{{ ('a' + user).replace('a', '<end>') }}"), "<end>«<end>»");
  EXPECT_EQ(marked("{{ ('<end>' + user)[3:7] }}"), "d>«<e»");
  EXPECT_EQ(marked("{{ ('<end>' + user) | upper }}"), "<END>«<END>»");
  EXPECT_EQ(marked("{{ (user + '<end>') | reverse }}"), ">dne<«>dne<»");
  EXPECT_EQ(marked("{{ [user, '<end>'] | tojson }}"), "«[\"<end>\", \"»<end>«\"]»");
  EXPECT_EQ(marked("{{ [user, '<end>'] }}"), "«['<end>', '»<end>«']»");
  EXPECT_EQ(marked("{% set x %}<end>{{ user }}{% endset %}{{ x | trim }}"), "<end>«<end>»");
  EXPECT_EQ(marked("{% macro m(x) %}<end>{{ x }}{% endmacro %}{{ m(user) }}"), "<end>«<end>»");
  EXPECT_EQ(marked("{% for c in user %}{{ c }}{% endfor %}"), "«<end>»");
  EXPECT_EQ(marked("{{ (user ~ '\\n' ~ '<end>') | indent(1) }}"), "«<end>»\n <end>");
  EXPECT_EQ(marked("{{ messages[0].content.split('<')[1] }}"), "«end>b»");
  EXPECT_EQ(marked("{% set ns = namespace(s='') %}{% set ns.s = ns.s + user %}{{ ns.s }}"),
            "«<end>»");
  EXPECT_EQ(marked("{{ {user: 1} | items | first | first }}"), "«<end>»");
}

std::string refusal(const std::string& source, const Limits& limits = {}) {
  try {
    Template(source, "T").render(variables(), 0, limits);
  } catch (const FormatError& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "";
}

TEST(Refusals, NameTheLineAndTheConstruct) {
  EXPECT_EQ(refusal("a\n{% include 'x' %}").find("T: line 2: this part of Jinja is not supported"),
            0U);
  EXPECT_NE(refusal("{% include 'x' %}").find("\"include\""), std::string::npos);
  EXPECT_EQ(refusal("\n\n{{ 'x' | wordcount }}").find("T: line 3: this filter is not supported"),
            0U);
  EXPECT_EQ(refusal("{{ 1 is escaped }}").find("T: line 1: this test is not supported"), 0U);
  EXPECT_EQ(refusal("{{ 'x'.encode() }}").find("T: line 1: this method of a string"), 0U);
  EXPECT_EQ(refusal("{{ cycler(1) }}").find("T: line 1: not a function (found \"cycler\""), 0U);
  EXPECT_EQ(refusal("\n{{ raise_exception('Roles\nmust') }}")
                .find("T: line 2: the template refuses this conversation (found \"Roles"),
            0U);
  EXPECT_NE(refusal("{{ nobody + 'x' }}").find("undefined \"nobody\""), std::string::npos);
  for (const char* wrong :
       {"{{", "{% if x %}", "{{ x", "{% for %}", "{{ 'x }}", "{# x", "{{ (1] }}", "{% raw %}x",
        "{{ 1 + }}", "{% endif %}", "{{ f(a=1, 2) }}", "{% break %}", "{% set x.y = 1 %}",
        "{{ '\\ud800' }}", "{{ 9223372036854775808 }}"}) {
    EXPECT_EQ(refusal(wrong).find("T: line 1: "), 0U) << wrong;
  }
}

TEST(Limits, StopAHostileTemplate) {
  std::string deep = "1";
  for (int i = 0; i < 5000; ++i) deep = "(" + deep + ")";
  EXPECT_NE(refusal("{{ " + deep + " }}").find("too deeply"), std::string::npos);
  std::string chain = "'a'";
  for (int i = 0; i < 5000; ++i) chain += " + 'a'";
  EXPECT_NE(refusal("{{ " + chain + " }}").find("too deeply"), std::string::npos);
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if 1 %}";
  EXPECT_NE(refusal(blocks).find("too deeply"), std::string::npos);
  EXPECT_NE(refusal("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").find("too deeply"),
            std::string::npos);
  const std::string loop = "{% for a in range(99999) %}{% for b in range(99999) %}";
  EXPECT_NE(refusal(loop + "{% endfor %}{% endfor %}").find("runs too long"), std::string::npos);
  EXPECT_NE(refusal("{% set ns = namespace(s='x') %}{% for i in range(99) %}"
                    "{% set ns.s = ns.s + ns.s %}{% endfor %}")
                .find("too much text"),
            std::string::npos);
  EXPECT_NE(refusal("{{ 'x' * 999999999999 }}").find("too much text"), std::string::npos);
  EXPECT_NE(refusal("{{ ('x' * 9999).replace('x', 'y' * 999999) }}").find("too much text"),
            std::string::npos);
  EXPECT_NE(refusal("{% set ns = namespace(l=[]) %}{% for i in range(9999) %}"
                    "{% set ns.l = [ns.l] %}{% endfor %}")
                .find("nested too deeply"),
            std::string::npos);
  EXPECT_NE(refusal("{{ range(100001) }}").find("range of too many"), std::string::npos);
  EXPECT_NE(refusal("{% for i in range(50) %}{{ i }}{% endfor %}", {.steps = 60}).find("too long"),
            std::string::npos);
}

TEST(Rendering, ANamespaceMayHoldItself) {
  EXPECT_EQ(
      refusal(
          "{% set n = namespace() %}{% set n.n = n %}{% set n.l = [n] %}{{ n.n.n.l | length }}"),
      "");
}

}  // namespace
}  // namespace hadal::jinja
