// data/stored_template: every place where a folder may keep a chat template is looked at, and one that
// is not DeepSeek-V3's is never passed over in silence.
#include "hadal/data/stored_template.h"

#include <gtest/gtest.h>

#include "hadal/core/json.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

// Stands for DeepSeek-V3's template, which is not ours to copy, and one that differs from it as R1's
// does: behind the mark of the assistant a thought is opened.
const std::string kOurs = "{{ bos_token }}{{ messages }}<｜Assistant｜>";
const std::string kThinking = kOurs + "<think>";

class StoredTemplateTest : public ::testing::Test {
 protected:
  void write_config(const Json& chat_template) const {
    Json config = Json::object();
    config["bos_token"] = "<｜begin▁of▁sentence｜>";
    config["chat_template"] = chat_template;
    folder_.write("tokenizer_config.json", config.dump());
  }
  static Json named(const std::string& name, const std::string& text) {
    Json entry = Json::object();
    entry["name"] = name;
    entry["template"] = text;
    return entry;
  }
  std::string note(bool has_roles = true) const {
    return prompt_note(folder_.path(), has_roles, template_hash(kOurs));
  }
  void expect_named(const std::string& file) const {
    EXPECT_EQ(note().find(folder_ / file), 0U) << note();
    EXPECT_NE(note().find("not DeepSeek-V3's and is not executed"), std::string::npos) << note();
    EXPECT_EQ(note().find('\n'), std::string::npos);
  }
  TemporaryFolder folder_;
};

TEST_F(StoredTemplateTest, DeepseekV3sOwnNeedsNoWord) {
  EXPECT_EQ(note(), "");
  write_config(nullptr);
  EXPECT_EQ(note(), "");
  write_config(kOurs);
  EXPECT_EQ(note(), "");
  write_config(Json::Array{named("default", kOurs), named("tool_use", kThinking)});
  EXPECT_EQ(note(), "");
  write_config(kThinking);
  folder_.write("chat_template.jinja", kOurs + "\n");  // comes before the other
  EXPECT_EQ(note(), "");
  EXPECT_NE(prompt_note(folder_.path(), true), "") << "this is not DeepSeek-V3's";
}

TEST_F(StoredTemplateTest, AnotherIsNamedWhereverItLies) {
  write_config(kThinking);
  expect_named("tokenizer_config.json");
  write_config(Json::Array{named("default", kThinking), named("plain", kOurs)});
  expect_named("tokenizer_config.json");
  write_config(Json::Array{named("plain", kOurs)});
  expect_named("tokenizer_config.json");
  write_config(7);
  expect_named("tokenizer_config.json");
  write_config(nullptr);
  folder_.write("chat_template.json", Json(Json::Object{{"chat_template", kThinking}}).dump());
  expect_named("chat_template.json");
  write_config(kOurs);
  folder_.write("chat_template.jinja", kThinking);
  expect_named("chat_template.jinja");
}

// Moonlight and Kimi-K2 have roles of their own: they are no base models.
TEST_F(StoredTemplateTest, WithoutRoleTokensTheTextIsPlain) {
  EXPECT_NE(note(false).find("base model"), std::string::npos);
  write_config("<|im_user|>user<|im_middle|>{{ message['content'] }}<|im_end|>");
  EXPECT_EQ(note(false).find("base model"), std::string::npos) << note(false);
  EXPECT_NE(note(false).find("prompts are plain text"), std::string::npos) << note(false);
  write_config(kOurs);
  EXPECT_NE(note(false), "") << "its tokens are not there";
}

}  // namespace
}  // namespace hadal::test
