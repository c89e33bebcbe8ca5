#include "hadal/core/toml.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hadal/core/error.h"

namespace hadal {
namespace {

TEST(Toml, ReadsTablesAndKnowsTheirLines) {
  const TomlDocument document = parse_toml(
      "name = \"nano\"\n\n[train]\nsteps = 100\nrate = 2.5e-4\n[train.deep]\non = true\nlist = [1, "
      "2]\n"
      "day = 2026-01-31\n",
      "run.toml");
  EXPECT_EQ(document.root.at("name").as_string(), "nano");
  EXPECT_EQ(document.root.at("train").at("steps").as_integer(), 100);
  EXPECT_EQ(document.root.at("train").at("rate").as_number(), 2.5e-4);
  EXPECT_TRUE(document.root.at("train").at("deep").at("on").as_bool());
  EXPECT_EQ(document.root.at("train").at("deep").at("day").as_string(), "2026-01-31");
  EXPECT_EQ(document.line_of.at("train.steps"), 4);
  EXPECT_EQ(document.line_of.at("train.deep.list"), 8);
}

TEST(Toml, ErrorsNameFileAndLine) {
  for (const char* text : {"a = 1\nb = \n", "a = 1\na = 2\n", "[x\n", "a = \"\n"}) {
    try {
      parse_toml(text, "run.toml");
      FAIL() << text;
    } catch (const FormatError& error) {
      EXPECT_EQ(std::string(error.what()).rfind("run.toml: line ", 0), 0U) << error.what();
    }
  }
}

TEST(Toml, WritesWhatItReads) {
  Json deep;
  deep["a key with spaces"] = "quote \" backslash \\ newline \n del \x7F bell \a é";
  deep["dotted.key"] = int64_t{-3};
  deep[""] = true;
  Json root;
  root["whole"] = int64_t{9007199254740993};
  root["float"] = 2.0;
  root["tiny"] = 1e-300;
  root["list"] = Json::array_of(std::vector<double>{0.1, 3.0});
  Json inline_table;
  inline_table["x y"] = 1;
  root["tables"] = Json(Json::Array{inline_table, inline_table});
  root["table"]["with space"] = deep;
  root["empty"] = Json::object();
  const Json back = parse_toml(write_toml(root), "x").root;
  // toml++ sorts its keys: compare by key.
  EXPECT_EQ(back.at("whole").as_integer(), 9007199254740993);
  EXPECT_FALSE(back.at("float").is_integer());
  EXPECT_EQ(back.at("float"), root.at("float"));
  EXPECT_EQ(back.at("tiny"), root.at("tiny"));
  EXPECT_EQ(back.at("list"), root.at("list"));
  EXPECT_EQ(back.at("tables"), root.at("tables"));
  EXPECT_TRUE(back.at("empty").as_object().empty());
  const Json& deep_back = back.at("table").at("with space");
  for (const auto& [key, value] : deep.as_object()) EXPECT_EQ(deep_back.at(key), value) << key;
}

TEST(Toml, InfinitiesAndNanSurvive) {
  Json root;
  root["up"] = INFINITY;
  root["down"] = -INFINITY;
  root["none"] = std::nan("");
  const Json back = parse_toml(write_toml(root), "x").root;
  EXPECT_EQ(back.at("up").as_number(), INFINITY);
  EXPECT_EQ(back.at("down").as_number(), -INFINITY);
  EXPECT_TRUE(std::isnan(back.at("none").as_number()));
}

TEST(Toml, ListsOfTablesKnowTheirLinesAndComeBack) {
  const TomlDocument document = parse_toml(
      "a = 1\n[[phase]]\nname = \"x\"\n[phase.train]\nsteps = 3\n[[phase]]\n[phase.train]\n"
      "steps = 4\n",
      "run.toml");
  EXPECT_EQ(document.line_of.at("phase[0].train.steps"), 5);
  EXPECT_EQ(document.line_of.at("phase[1].train.steps"), 8);
  const std::string text = write_toml(document.root);
  EXPECT_NE(text.find("[[phase]]\nname = \"x\"\n\n[phase.train]\nsteps = 3\n"), std::string::npos)
      << text;
  EXPECT_EQ(parse_toml(text, "x").root, document.root);
}

}  // namespace
}  // namespace hadal
