#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "hadal/core/rng.h"
#include "hadal/corpus/html_text.h"
#include "hadal/corpus/man_text.h"
#include "hadal/corpus/pod_text.h"

namespace hadal {
namespace {

TEST(HtmlText, KeepsTextAndDropsFurniture) {
  EXPECT_EQ(html_text("<html><head><title>T</title><style>p{}</style></head><body>"
                      "<nav>Home</nav><script>if (a < b) alert('<p>x</p>')</script>"
                      "<h1>Head<a class=\"headerlink\" href=\"#\">\xC2\xB6</a></h1>"
                      "<p>Some <b>bold</b>\n  words &amp; more&#33;</p><p>Next.</p>"
                      "<div class=\"navfooter other\"><div>Prev</div> Next</div>"
                      "<div role=\"navigation\">menu</div><form>q<input></form></body></html>"),
            "Head\n\nSome bold words & more!\n\nNext.\n");
}

TEST(HtmlText, MarkedMainPartIsTheWholeText) {
  EXPECT_EQ(html_text("<div>before</div><div role=\"main\"><p>inside</p></div><div>after</div>"),
            "inside\n");
  EXPECT_EQ(html_text("before <main>inside</main> after"), "inside\n");
}

TEST(HtmlText, PreformattedTextKeepsItsLines) {
  EXPECT_EQ(
      html_text("<p>code:</p><pre>a  b\n  <span class=k>c</span> &lt;d&gt;\n</pre><p>end</p>"),
      "code:\n\na  b\n  c <d>\n\nend\n");
}

TEST(HtmlText, ListsTablesAndLineBreaks) {
  EXPECT_EQ(html_text("<ul><li>one<li><p>two</p></ul><table><tr><td>a</td><td>b</td></tr>"
                      "<tr><td>c</td></tr></table>x<br/>y"),
            "- one\n- two\n\na b\nc\n\nx\ny\n");
}

TEST(HtmlText, UnclosedAndStrayTagsDoNotHideText) {
  EXPECT_EQ(html_text("<div><p>a</span></div></div></nav>b < c <3 d"), "a\nb < c <3 d\n");
  EXPECT_EQ(html_text("<nav><li>x<li>y</nav>shown"), "shown\n");
  EXPECT_EQ(html_text("a<!-- <p>hidden</p> -->b<?php x ?>c"), "abc\n");
  EXPECT_EQ(html_text("<p title='a > b' data-x=1>kept</p>"), "kept\n");
}

TEST(HtmlText, Entities) {
  EXPECT_EQ(decode_html_entities("&lt;&#x263A;&eacute;&nbsp;&unknown; & &; &#; &#x110000;"),
            "<\u263A\u00E9 &unknown; & &; &#; \uFFFD");
}

double cpu_seconds_of(const std::string& page) {
  const std::clock_t start = std::clock();
  html_text(page);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

std::string repeated(std::string_view text, int n) {
  std::string result;
  for (int i = 0; i < n; ++i) result += text;
  return result;
}

TEST(HtmlText, AnyBytesGiveNoMoreTextThanTheyHold) {
  Rng rng(7);
  const std::string_view alphabet = "<>/=\"' &;!-abpreliscript\n";
  for (int round = 0; round < 300; ++round) {
    std::string page;
    for (int i = 0; i < 400; ++i) page += alphabet[rng.uniform_below(alphabet.size())];
    const std::string text = html_text(page);
    // A list item becomes "- " and a line's end: two bytes more than "<li>" has at the least.
    EXPECT_LE(text.size(), page.size() + 1) << page;
    EXPECT_TRUE(text.empty() || text.ends_with('\n')) << page;
  }
  EXPECT_EQ(html_text(repeated("<script>", 300000)), "");
  EXPECT_EQ(html_text(repeated("</b><i>", 300000) + "x"), "x\n");
  EXPECT_TRUE(html_text(repeated("<div><li>", 300000) + "x").ends_with("x\n"));
}

// Each of these is quadratic in a naive extractor: 16 times the bytes would take 256 times as long.
TEST(HtmlText, TakesLinearTime) {
  for (const char* text : {"<div><li>", "</b><i>", "<script>", "&amp", "<!--", "<p title='"}) {
    const std::string small = repeated(text, 20000), large = repeated(text, 16 * 20000);
    double best = 1e9;
    for (int attempt = 0; attempt < 5 && best > 64.0; ++attempt) {
      best = std::min(best, cpu_seconds_of(large) / std::max(cpu_seconds_of(small), 1e-4));
    }
    EXPECT_LE(best, 64.0) << text;
  }
}

TEST(ManText, ManualPage) {
  const std::string page =
      ".\\\" comment\n.de XX\nnot text\n..\n.TH open 2 2023\n.SH NAME\nopen \\- open a "
      "\\fIfile\\fP\n"
      ".SH DESCRIPTION\nThe\n.BR open ()\ncall \\(lqopens\\(rq it.\n.PP\nNext\\&.\n.nf\n\n  int "
      "x;\n.fi\n"
      ".IP \\(bu 4\nitem\n.if \\n(.g \\{\\\n.nop hidden\n.\\}\n";
  ASSERT_TRUE(looks_like_manual(page));
  EXPECT_EQ(man_text(page),
            "NAME\nopen - open a file\n\nDESCRIPTION\nThe open() call “opens” it.\n\nNext.\n\n"
            "  int x;\n\n- item\n");
  EXPECT_FALSE(looks_like_manual("1. A list\n2. in a file called notes.1\n"));
}

TEST(PodText, CommandsAndCodes) {
  EXPECT_EQ(
      pod_text("=head1 NAME\nX<index>\n\nB<bold> C<< a->b >> E<lt>F<file>E<gt>\n\n=over 4\n\n"
               "=item *\n\nL<perlref/\"Making\"> and L<text|http://x/>\n\n=back\n\n"
               "    verbatim B<x>\n\n=begin html\n\n<p>no</p>\n\n=end html\n\nLast I<nested "
               "C<code>>.\n\n=cut\n\nmy $code = 1;\n\n=head2 More\n"),
      "NAME\n\nbold a->b <file>\n\n-\n\n\"Making\" in perlref and text\n\n    verbatim B<x>\n\n"
      "Last nested code.\n\nMore\n");
}

// Under the sanitizers also: no byte is read beside the text.
TEST(PlainTextExtractors, RandomBytesGiveNoMoreTextThanTheyHold) {
  Rng rng(11);
  const std::string_view alphabet = ".\\\"'[](){}*fsBIRPTH =headitmcu<>CLXE\n\n| -";
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (int i = 0; i < 300; ++i) text += alphabet[rng.uniform_below(alphabet.size())];
    // The longest that a few bytes become: \\(bu or E<lt>, four, a bullet of three and a line.
    EXPECT_LE(man_text(text).size(), 2 * text.size()) << text;
    EXPECT_LE(pod_text(text).size(), 2 * text.size()) << text;
  }
}

}  // namespace
}  // namespace hadal
