#include "hadal/core/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "hadal/core/error.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_json(text, "x.json");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

TEST(Json, ReadsEveryKindOfValue) {
  const Json json = parse_json(
      R"({"a":null,"b":[true,false],"c":-3,"d":1.5e3,"e":"\u00e9\n","f":{},"g":18446744073709551615})",
      "x");
  EXPECT_TRUE(json.at("a").is_null());
  EXPECT_TRUE(json.at("b").as_array()[0].as_bool());
  EXPECT_EQ(json.at("c").as_integer(), -3);
  EXPECT_EQ(json.at("d").as_number(), 1500.0);
  EXPECT_EQ(json.at("d").as_integer(), 1500);
  EXPECT_EQ(json.at("e").as_string(), "\xC3\xA9\n");
  EXPECT_TRUE(json.at("f").as_object().empty());
  EXPECT_EQ(json.at("g").as_unsigned(), std::numeric_limits<uint64_t>::max());
  test::expect_refused<FormatError>([&] { json.at("g").as_integer(); },
                                    "expected integer that fits in 64 bits, found integer");
  test::expect_refused<FormatError>([&] { json.at("c").as_unsigned(); },
                                    "expected integer that is not negative, found integer");
  test::expect_refused<FormatError>([&] { json.at("h"); }, "missing key \"h\"");
  EXPECT_EQ(json.find("h"), nullptr);
}

TEST(Json, ErrorsNameFileLineAndColumn) {
  EXPECT_EQ(error_of("{\n \"a\": tru }").rfind("x.json: line 2, column ", 0), 0U);
  EXPECT_EQ(error_of("[1,\n2,\n  }").rfind("x.json: line 3, column 3", 0), 0U);
  EXPECT_NE(error_of(""), "");
  EXPECT_NE(error_of("{} {}"), "");
  EXPECT_NE(error_of("[1,]"), "");
  EXPECT_NE(error_of("{\"a\":01}"), "");
  EXPECT_NE(error_of("[NaN]"), "");
  EXPECT_NE(error_of("\"\xFF\""), "");             // not UTF-8
  EXPECT_NE(error_of("\"\xED\xA0\x80\""), "");     // a surrogate
  EXPECT_NE(error_of(std::string("1\0", 2)), "");  // text after a zero byte
  EXPECT_NE(error_of("[1e999]"), "");
  EXPECT_EQ(error_of("[1, 2]"), "");
}

TEST(Json, DuplicateKeysAreRefusedAtEveryDepth) {
  EXPECT_NE(error_of(R"({"a":1,"a":2})").find("duplicate key \"a\""), std::string::npos);
  EXPECT_NE(error_of(R"([{"x":{"b":1,"b":1}}])").find("duplicate key \"b\""), std::string::npos);
  EXPECT_EQ(error_of(R"({"a":{"a":1},"b":{"a":1}})"), "");
}

TEST(Json, DepthIsLimited) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(error_of(nested(256)), "");
  EXPECT_NE(error_of(nested(257)).find("256"), std::string::npos);
  EXPECT_NE(error_of(std::string(1000000, '[')),
            "");  // in bounded time and without a stack overflow
}

TEST(Json, WritesWhatItReads) {
  for (const char* text :
       {R"({"b":1,"a":[null,true,-7,0.1,1e+300,2.0,"x\"\\\n\u0001/é😀"],"c":{},"d":[]})",
        "18446744073709551615", "-9223372036854775808", "5e-324", "[[[]]]"}) {
    const Json json = parse_json(text, "x");
    EXPECT_EQ(json.dump(), text);
    EXPECT_EQ(parse_json(json.dump(2), "x"), json);
  }
}

TEST(Json, IndentsLikePeopleExpect) {
  Json json;
  json["a"] = Json::array_of(std::vector<int>{1, 2});
  json["b"] = Json::object();
  EXPECT_EQ(json.dump(2), "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}");
}

TEST(Json, DoublesRoundTripAndStayDoubles) {
  for (const double value : {0.1, 1.0 / 3, 1e22, 1.0, -0.0, std::numeric_limits<double>::max()}) {
    const Json back = parse_json(Json(value).dump(), "x");
    EXPECT_EQ(back.as_number(), value);
    EXPECT_FALSE(back.is_integer()) << Json(value).dump();
    EXPECT_EQ(std::signbit(back.as_number()), std::signbit(value));
  }
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(INFINITY).dump(), "null");
}

TEST(Json, InvalidUtf8IsReplacedOnTheWayOut) {
  for (const char* invalid :
       {"\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "a\xE2\x82"}) {
    const std::string text = Json(invalid).dump();
    EXPECT_NE(text.find("\xEF\xBF\xBD"), std::string::npos);
    parse_json(text, "x");  // and what comes out is valid
  }
  EXPECT_EQ(Json("\xF0\x9F\x98\x80").dump(), "\"\xF0\x9F\x98\x80\"");
}

TEST(Json, LargeObjectsAreWrittenInLinearTime) {
  // A vocabulary: with a search per key this would take minutes.
  Json::Object object;
  for (int i = 0; i < 200000; ++i) object.emplace_back(concat("token", i), Json(i));
  const Json json(std::move(object));
  EXPECT_EQ(parse_json(json.dump(), "x"), json);
}

TEST(Json, FilesThatCannotBeReadSaySo) {
  for (const std::string& path : {std::string("/nonexistent/file"), testing::TempDir()}) {
    test::expect_refused<FormatError>([&] { read_text_file(path); }, path + ": cannot be read (");
  }
  const std::string path = testing::TempDir() + "json_test_large.json";
  std::ofstream(path) << "12345";
  EXPECT_EQ(read_text_file(path), "12345");
  test::expect_refused<FormatError>([&] { read_text_file(path, 4); },
                                    path + ": too large (found 5 bytes");
}

}  // namespace
}  // namespace hadal
