#include "hadal/draw/svg.h"

#include <gtest/gtest.h>

namespace hadal {
namespace {

TEST(Svg, ElementsKeepTheOrderOfTheirAttributes) {
  EXPECT_EQ(svg_element("rect", {{"x", 1.5}, {"class", "a"}, {"width", 2}}),
            "<rect x=\"1.5\" class=\"a\" width=\"2\"/>");
  EXPECT_EQ(svg_element("g", {}, svg_element("p", {})), "<g><p/></g>");
  EXPECT_EQ(svg_element("text", {}, ""), "<text></text>");
}

TEST(Svg, NumbersAreShort) {
  EXPECT_EQ(svg_number(12.50), "12.5");
  EXPECT_EQ(svg_number(-3), "-3");
  EXPECT_EQ(svg_number(-0.001), "0");
  EXPECT_EQ(svg_number(100), "100");
}

TEST(Svg, TextCannotBreakOut) {
  EXPECT_EQ(svg_text("a<b> & \"c\"\x01"), "a&lt;b&gt; &amp; &quot;c&quot;");
  EXPECT_EQ(svg_element("a", {{"b", "\"/><script>"}}), "<a b=\"&quot;/&gt;&lt;script&gt;\"/>");
  EXPECT_EQ(svg_title("<"), "<title>&lt;</title>");
}

}  // namespace
}  // namespace hadal
