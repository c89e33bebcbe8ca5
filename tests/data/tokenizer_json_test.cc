// Broken and foreign tokenizer files: one line that names the field, in bounded time and memory.
#include "hadal/data/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using ::testing::HasSubstr;

const std::string& good_text() {
  static const std::string text =
      read_text_file(std::string(HADAL_GOLDEN_DIR) + "/tokenizer/deepseek/tokenizer.json");
  return text;
}

std::string error_of(const std::string& text) {
  try {
    const Tokenizer tokenizer = Tokenizer::from_json(text, "", "tokenizer.json");
    const std::string input(2000, 'a');
    tokenizer.encode(input + "!");
  } catch (const FormatError& e) {
    const std::string message = e.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_LT(message.size(), 600U);
    EXPECT_TRUE(message.starts_with("tokenizer.json: ")) << message;
    return message;
  }
  return "no error";
}

struct Damage {
  const char* name;
  std::function<void(Json&)> apply;
  const char* expected;  // part of the message: the field
};

Json& stage(Json& document, size_t i) {
  return document["pre_tokenizer"]["pretokenizers"].as_array()[i];
}
Json& added(Json& document, size_t i) { return document["added_tokens"].as_array()[i]; }

// What transformers writes for "BOS, then the text", with id 0; `more` goes on behind the text.
Json bos_template(const std::string& more) {
  return parse_json(
      R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"bos","type_id":0}},)"
      R"({"Sequence":{"id":"A","type_id":0}})" +
          more + R"(],"pair":[],"special_tokens":{"bos":{"id":"bos","ids":[0],"tokens":["bos"]}}})",
      "template");
}

const std::vector<Damage>& damages() {
  static const std::vector<Damage> all = {
      {"unknown field", [](Json& d) { d["extra"] = 1; }, "unknown field \"extra\""},
      {"truncation", [](Json& d) { d["truncation"] = 5; }, "truncation"},
      {"padding", [](Json& d) { d["padding"] = "x"; }, "padding"},
      {"normalizer",
       [](Json& d) {
         d["normalizer"] = Json::Object{{"type", "NFKC"}};
       },
       "normalizer"},
      {"normalizers",
       [](Json& d) {
         Json list = Json::array();
         list.push_back(Json::Object{{"type", "NFC"}});
         d["normalizer"] = Json::Object{{"type", "Sequence"}, {"normalizers", list}};
       },
       "normalizer.normalizers"},
      {"no pre-tokenizer", [](Json& d) { d["pre_tokenizer"] = nullptr; }, "pre_tokenizer"},
      {"other pre-tokenizer",
       [](Json& d) {
         stage(d, 0) = Json::Object{{"type", "Whitespace"}};
       },
       "pre_tokenizer.pretokenizers[0].type"},
      {"behavior", [](Json& d) { stage(d, 1)["behavior"] = "Removed"; },
       "pretokenizers[1].behavior"},
      {"invert", [](Json& d) { stage(d, 1)["invert"] = true; }, "pretokenizers[1].invert"},
      {"prefix space", [](Json& d) { stage(d, 3)["add_prefix_space"] = true; },
       "pretokenizers[3].add_prefix_space"},
      {"no byte level", [](Json& d) { d["pre_tokenizer"]["pretokenizers"].as_array().pop_back(); },
       "pre_tokenizer"},
      {"broken expression", [](Json& d) { stage(d, 0)["pattern"]["Regex"] = "(a"; },
       "pretokenizers[0].pattern"},
      {"empty match", [](Json& d) { stage(d, 0)["pattern"]["Regex"] = "a*"; }, "can match nothing"},
      {"endless expression", [](Json& d) { stage(d, 0)["pattern"]["Regex"] = "(a+)+[bc]"; },
       "gave up on a text"},
      {"hex digit escape", [](Json& d) { stage(d, 0)["pattern"]["Regex"] = "\\h+"; },
       "this escape"},
      {"intersection", [](Json& d) { stage(d, 0)["pattern"]["Regex"] = "[\\p{L}&&[^a]]"; },
       "not supported"},
      {"verb", [](Json& d) { stage(d, 0)["pattern"]["Regex"] = "(*ACCEPT)"; }, "a verb"},
      {"long expression",
       [](Json& d) { stage(d, 0)["pattern"]["Regex"] = std::string(1 << 20, 'a'); }, "too long"},
      {"post-processor",
       [](Json& d) {
         d["post_processor"] = Json::Object{{"type", "BertProcessing"}};
       },
       "post_processor.type"},
      {"decoder",
       [](Json& d) {
         d["decoder"] = Json::Object{{"type", "WordPiece"}};
       },
       "decoder.type"},
      {"no decoder", [](Json& d) { d["decoder"] = nullptr; }, "decoder"},
      {"model type", [](Json& d) { d["model"]["type"] = "Unigram"; }, "model.type"},
      {"dropout", [](Json& d) { d["model"]["dropout"] = 0.1; }, "model.dropout"},
      {"unknown token", [](Json& d) { d["model"]["unk_token"] = "x"; }, "model.unk_token"},
      {"byte fallback", [](Json& d) { d["model"]["byte_fallback"] = true; }, "model.byte_fallback"},
      {"template without text",
       [](Json& d) {
         d["post_processor"] = Json::Object{
             {"type", "TemplateProcessing"}, {"single", Json::array()}, {"special_tokens", {}}};
       },
       "post_processor.single"},
      {"template with EOS",
       [](Json& d) { d["post_processor"] = bos_template(R"(,{"SpecialToken":{"id":"bos"}})"); },
       "post_processor.single"},
      {"template of an unknown id",
       [](Json& d) {
         d["post_processor"] = bos_template("");
         d["post_processor"]["special_tokens"]["bos"]["ids"] = Json::Array{640000};
       },
       "post_processor.special_tokens.bos.ids[0]: no such token"},
      {"two templates",
       [](Json& d) {
         const Json once = bos_template("");
         d["post_processor"] =
             Json::Object{{"type", "Sequence"}, {"processors", Json::Array{once, once}}};
       },
       "post_processor.processors[1]"},
      {"ignore merges", [](Json& d) { d["model"]["ignore_merges"] = 1; }, "model.ignore_merges"},
      {"prefix", [](Json& d) { d["model"]["continuing_subword_prefix"] = "##"; },
       "continuing_subword_prefix"},
      {"model missing", [](Json& d) { d["model"] = nullptr; }, "model"},
      {"vocab type", [](Json& d) { d["model"]["vocab"] = Json::array(); }, "model.vocab"},
      {"vocab empty", [](Json& d) { d["model"]["vocab"] = Json::object(); }, "model.vocab"},
      {"id type", [](Json& d) { d["model"]["vocab"]["a"] = "5"; }, "model.vocab.\"a\""},
      {"id negative", [](Json& d) { d["model"]["vocab"]["a"] = -5; }, "out of range"},
      {"id huge", [](Json& d) { d["model"]["vocab"]["a"] = int64_t{1} << 40; }, "out of range"},
      {"id twice", [](Json& d) { d["model"]["vocab"]["a"] = 10; }, "duplicate id (found 10"},
      {"byte missing",
       [](Json& d) {
         std::erase_if(d["model"]["vocab"].as_object(),
                       [](const auto& m) { return m.first == "!"; });
       },
       "byte 33 has no token"},
      {"merge of unknown", [](Json& d) { d["model"]["merges"].push_back("a qqq"); },
       "token not in model.vocab (found \"qqq\""},
      {"merge without space", [](Json& d) { d["model"]["merges"].push_back("ab"); },
       "model.merges["},
      {"merge of three", [](Json& d) { d["model"]["merges"].push_back("a b c"); }, "model.merges["},
      {"merge type", [](Json& d) { d["model"]["merges"].push_back(7); }, "model.merges["},
      {"merge list of one", [](Json& d) { d["model"]["merges"].push_back(Json::Array{"a"}); },
       "model.merges["},
      {"merge twice",
       [](Json& d) { d["model"]["merges"].push_back(d["model"]["merges"].as_array()[0]); },
       "duplicate merge"},
      {"merge with nothing",
       [](Json& d) {
         d["model"]["vocab"][""] = 639000;
         d["model"]["merges"].push_back(Json::Array{"a", ""});
       },
       "two tokens that are not empty"},
      {"added id", [](Json& d) { added(d, 0)["id"] = 5; }, "has another id in model.vocab"},
      {"added id taken", [](Json& d) { added(d, 5)["id"] = 300; }, "duplicate id (found 300"},
      {"added twice", [](Json& d) { added(d, 5)["content"] = added(d, 4)["content"]; },
       "added_tokens[5].content: duplicate token"},
      {"added empty", [](Json& d) { added(d, 5)["content"] = ""; }, "added_tokens[5].content"},
      {"added huge id", [](Json& d) { added(d, 5)["id"] = 1 << 30; }, "added_tokens[5].id"},
      {"lstrip", [](Json& d) { added(d, 4)["lstrip"] = 1; }, "added_tokens[4].lstrip"},
      {"rstrip", [](Json& d) { added(d, 4)["rstrip"] = 1; }, "added_tokens[4].rstrip"},
      {"single word", [](Json& d) { added(d, 4)["single_word"] = 1; },
       "added_tokens[4].single_word"},
  };
  return all;
}

TEST(TokenizerJson, NamesTheFieldThatIsWrong) {
  const Json good = parse_json(good_text(), "good");
  ASSERT_EQ(error_of(good.dump()), "no error");
  for (const Damage& damage : damages()) {
    Json document = good;
    damage.apply(document);
    EXPECT_THAT(error_of(document.dump()), HasSubstr(damage.expected)) << damage.name;
  }
}

TEST(TokenizerJson, RefusesDuplicateKeys) {
  std::string text = good_text();
  const size_t at = text.find("\"!\":");
  ASSERT_NE(at, std::string::npos);
  text.insert(at, "\"!\":639000,");
  EXPECT_THAT(error_of(text), HasSubstr("duplicate token"));
}

TEST(TokenizerJson, EveryTruncationIsAnError) {
  const std::string& text = good_text();
  for (size_t size = 0; size + 2 < text.size(); size += 97) {
    EXPECT_THAT(error_of(text.substr(0, size)), HasSubstr("not valid JSON")) << size;
  }
  for (const char* other : {"[]", "null", "7", "\"x\"", "{}", "{\"model\":{}}", "\xFF"}) {
    EXPECT_NE(error_of(other), "no error") << other;
  }
  EXPECT_NE(error_of(std::string(100'000, '[')), "no error");
}

TEST(TokenizerJson, NullAndAbsentAreTheSame) {
  Json document = parse_json(good_text(), "good");
  for (const char* key : {"truncation", "padding", "normalizer", "post_processor"}) {
    std::erase_if(document.as_object(), [&](const auto& member) { return member.first == key; });
  }
  EXPECT_EQ(error_of(document.dump()), "no error");
}

Tokenizer load(const Json& document, const std::string& config = "") {
  return Tokenizer::from_json(document.dump(), config, "tokenizer.json");
}

TEST(TokenizerJson, SavedAgainByTransformersItGivesTheSameIds) {
  Json document = parse_json(good_text(), "good");
  const std::string text = "Hello there, 1234 caf\u00e9s\n<｜User｜>";
  const std::vector<int32_t> ids = load(document).encode(text);
  EXPECT_FALSE(load(document).add_bos());
  document["truncation"] = Json::Object{{"direction", "Right"}, {"max_length", 4}};
  document["padding"] = Json::Object{{"direction", "Left"}, {"pad_id", 1}};
  document["model"]["ignore_merges"] = true;
  const Json byte_level = document["post_processor"];
  for (const Json& processor :
       {bos_template(""),
        Json(Json::Object{{"type", "Sequence"},
                          {"processors", Json::Array{byte_level, bos_template("")}}})}) {
    document["post_processor"] = processor;
    const Tokenizer tokenizer = load(document);
    EXPECT_EQ(tokenizer.encode(text), ids);
    EXPECT_TRUE(tokenizer.add_bos());
    EXPECT_EQ(tokenizer.bos_id(), 0);
    EXPECT_FALSE(load(document, R"({"add_bos_token": false})").add_bos());
  }
  // The two files name different tokens: which one is meant cannot be known.
  test::expect_refused<FormatError>([&] { load(document, R"({"bos_token": "!"})"); },
                                    "bos_token: not what the post-processor of tokenizer.json");
}

TEST(TokenizerJson, WithIgnoreMergesAWholePieceIsItsOwnToken) {
  Json document = parse_json(good_text(), "good");
  document["model"]["vocab"]["zqzqz"] = 639000;  // no merge leads to it
  EXPECT_GT(load(document).encode("zqzqz").size(), 1U);
  document["model"]["ignore_merges"] = true;
  EXPECT_EQ(load(document).encode("zqzqz"), std::vector<int32_t>{639000});
  EXPECT_GT(load(document).encode("zqzqzq").size(), 1U);
}

// The ids are those of `tokenizers` 0.22: 1 stands for the token, its text is "<x>".
TEST(TokenizerJson, AddedTokensTakeSpaceAndStandAloneAsTheirFlagsSay) {
  const Json good = parse_json(good_text(), "good");
  constexpr int32_t kId = 639001;
  const auto split = [&](const char* flag, const std::string& text, const Json& second = {}) {
    Json document = good;
    document["added_tokens"].push_back(Json::Object{{"id", kId}, {"content", "<x>"}, {flag, true}});
    if (!second.is_null()) document["added_tokens"].push_back(second);
    const Tokenizer tokenizer = load(document);
    std::string shown;
    std::vector<int32_t> plain;
    const auto flush = [&] {
      if (!plain.empty()) shown += "[" + tokenizer.decode(plain) + "]";
      plain.clear();
    };
    for (const int32_t id : tokenizer.encode(text)) {
      if (id == kId) flush();
      if (id == kId) shown += "1";
      if (id != kId) plain.push_back(id);
    }
    flush();
    return shown;
  };
  EXPECT_EQ(split("lstrip", "a \n <x> b"), "[a]1[ b]");
  EXPECT_EQ(split("rstrip", "a <x>\u3000\n b"), "[a ]1[b]");
  EXPECT_EQ(split("lstrip", " <x>  <x>"), "11");
  EXPECT_EQ(split("rstrip", "<x>  <x> "), "11");
  // A token in the white space that the one before it took.
  const Json line_end = Json::Object{{"id", 639002}, {"content", "\n"}};
  EXPECT_EQ(split("rstrip", "<x>\na", line_end), "1[\na]");
  Json greedy = line_end;
  greedy["lstrip"] = true;
  EXPECT_EQ(split("rstrip", "<x>\na", greedy), "1[a]");
  EXPECT_EQ(split("single_word", "a<x><x>"), "[a<x>]1");
  EXPECT_EQ(split("single_word", "a<x> <x> <x>b <x>"), "[a<x> ]1[ <x>b ]1");
  EXPECT_EQ(split("single_word", "\u00e9<x> !<x>! _<x> <x>\u0301"),
            "[\u00e9<x> !]1[! _<x> <x>\u0301]");
}

TEST(TokenizerJson, SaysWhenThereIsNoFile) {
  test::expect_refused<FormatError>([] { Tokenizer::load("/no/such/folder"); },
                                    "/no/such/folder: no tokenizer");
}

}  // namespace
}  // namespace hadal
