// data/stored_template: every place where a folder may keep a chat template is looked at, in the order
// of Hugging Face's transformers.
#include "hadal/data/stored_template.h"

#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

class StoredTemplateTest : public ::testing::Test {
 protected:
  void write_config(const Json& chat_template) const {
    Json config = Json::object();
    config["chat_template"] = chat_template;
    folder_.write("tokenizer_config.json", config.dump());
  }
  static Json named(const std::string& name, const std::string& text) {
    Json entry = Json::object();
    entry["name"] = name;
    entry["template"] = text;
    return entry;
  }
  void expect(const std::string& file, const std::string& text, const std::string& with_tools) {
    const auto stored = find_stored_template(folder_.path());
    ASSERT_TRUE(stored.has_value());
    EXPECT_EQ(stored->file, folder_ / file);
    EXPECT_EQ(stored->text, text);
    EXPECT_EQ(stored->with_tools, with_tools);
  }
  TemporaryFolder folder_;
};

TEST_F(StoredTemplateTest, EveryPlaceIsLookedAt) {
  EXPECT_FALSE(find_stored_template(folder_.path()));
  write_config(nullptr);
  EXPECT_FALSE(find_stored_template(folder_.path()));
  folder_.write("chat_template.json", Json(Json::Object{{"chat_template", "C"}}).dump());
  expect("chat_template.json", "C", "C");
  write_config("T");
  expect("tokenizer_config.json", "T", "T");
  write_config(Json::Array{named("tool_use", "U"), named("default", "D"), named("rag", "R")});
  expect("tokenizer_config.json", "D", "U");
  write_config(Json::Array{named("default", "D")});
  expect("tokenizer_config.json", "D", "D");
  folder_.write("chat_template.jinja", "J\n");
  expect("chat_template.jinja", "J\n", "J\n");
}

TEST_F(StoredTemplateTest, WhatIsNoTemplateIsRefused) {
  for (const Json& wrong : {Json(7), Json(Json::Array{named("plain", "P")})}) {
    write_config(wrong);
    EXPECT_THROW(find_stored_template(folder_.path()), FormatError);
  }
}

TEST_F(StoredTemplateTest, TheHashIsOfTheTextWithoutSpaceAround) {
  EXPECT_EQ(template_hash(" a b\n"), template_hash("a b"));
  EXPECT_NE(template_hash("a b"), template_hash("ab"));
}

}  // namespace
}  // namespace hadal::test
