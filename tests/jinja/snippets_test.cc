// Small templates against the texts that jinja2 makes of them, set up as Hugging Face does
// (tools/conformance/jinja.py --write).
#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/jinja/template.h"

namespace hadal::jinja {
namespace {

TEST(Snippets, PrintWhatJinjaPrints) {
  const Json file = parse_json_file(HADAL_GOLDEN_DIR "/jinja/snippets.json");
  Variables variables;
  for (const auto& [name, value] : file.at("variables").as_object()) {
    variables.emplace_back(name, from_json(value, Origin::kData));
  }
  const Json::Array& snippets = file.at("templates").as_array();
  ASSERT_GT(snippets.size(), 60U);
  for (const Json& snippet : snippets) {
    const std::string& text = snippet.at("template").as_string();
    const auto render = [&] {
      return Template(text, "snippet").render(variables, /*now=*/0).bytes();
    };
    if (snippet.find("refused")) {
      EXPECT_THROW(render(), FormatError) << text;
    } else {
      EXPECT_EQ(render(), snippet.at("text").as_string()) << text;
    }
  }
}

}  // namespace
}  // namespace hadal::jinja
