// `hadal tokenizer`: the whole path from texts to a vocabulary, ids and back, through the binary.
#include <gtest/gtest.h>

#include <string>

#include "hadal/core/json.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

using testing::expect_refused;
using testing::run_hadal;
using testing::RunResult;

class TokenizerCommandTest : public ::testing::Test {
 protected:
  const std::string golden_ = std::string(HADAL_GOLDEN_DIR) + "/tokenizer/deepseek";
  const test::TemporaryFolder folder_;

  static RunResult tokenizer(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), "tokenizer");
    return run_hadal(arguments, input);
  }
};

TEST_F(TokenizerCommandTest, TrainsEncodesAndDecodes) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "The abyss is deep, 的的 " + std::to_string(i) + "\n";
  const std::string file = folder_.write("text.txt", text);
  const RunResult trained = tokenizer({"train", "--data", file, "--vocab-size", "300", "--out",
                                       folder_ / "tok", "--json", "--quiet"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const Json report = parse_json(trained.out, "stdout");
  EXPECT_EQ(report.at("vocab_size").as_integer(), 300);
  EXPECT_EQ(report.at("bytes").as_integer(), static_cast<int64_t>(text.size()));

  const RunResult encoded =
      tokenizer({"encode", "--model", folder_ / "tok", "--file", file, "--json"});
  ASSERT_EQ(encoded.exit_code, 0) << encoded.err;
  EXPECT_LT(parse_json(encoded.out, "stdout").at("ids").as_array().size(), text.size() / 2);

  // The output of encode goes into decode as it is, through the standard input.
  const RunResult decoded =
      tokenizer({"decode", "--model", folder_ / "tok", "--file", "-"}, encoded.out);
  EXPECT_EQ(decoded.exit_code, 0) << decoded.err;
  EXPECT_EQ(decoded.out, text);
}

TEST_F(TokenizerCommandTest, SaysWhatItReplacedUnlessAnEncodingIsNamed) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "The caf\xE9 is deep, " + std::to_string(i) + "\n";
  const std::string file = folder_.write("text.txt", text);
  std::vector<std::string> train = {"train", "--data", file,           "--vocab-size",
                                    "300",   "--out",  folder_ / "tok"};
  const RunResult replaced = tokenizer(train);
  EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
  EXPECT_NE(replaced.err.find(file + " line 1; 200 places became U+FFFD"), std::string::npos)
      << replaced.err;
  train.insert(train.end(), {"--encoding", "latin-1"});
  const RunResult converted = tokenizer(train);
  EXPECT_EQ(converted.exit_code, 0) << converted.err;
  EXPECT_EQ(converted.err.find("U+FFFD"), std::string::npos) << converted.err;
  const RunResult encoded = tokenizer({"encode", "-m", folder_ / "tok", "--file", file});
  EXPECT_NE(encoded.err.find("200 places became U+FFFD"), std::string::npos) << encoded.err;
  train.back() = "klingon";
  expect_refused(tokenizer(train), {train, "--encoding: no such encoding (found \"klingon\""});
}

TEST_F(TokenizerCommandTest, TakesTextAndIdsFromTheCommandLine) {
  const RunResult encoded = tokenizer({"encode", "-m", golden_, "--text", "<｜User｜>1"});
  EXPECT_EQ(encoded.out, "628 52\n") << encoded.err;
  const RunResult plain =
      tokenizer({"encode", "-m", golden_, "--text", "<｜User｜>1", "--no-added-tokens"});
  EXPECT_NE(plain.out, encoded.out);
  const RunResult json = tokenizer({"decode", "-m", golden_, "--ids", "[628, 52]", "--json"});
  EXPECT_EQ(parse_json(json.out, "stdout").at("text").as_string(), "<｜User｜>1") << json.err;
  EXPECT_EQ(tokenizer({"encode", "-m", golden_, "--text", ""}).out, "\n");
  EXPECT_EQ(tokenizer({"encode", "-m", golden_, "--file", "-"}, "1").out, "52\n");
}

TEST_F(TokenizerCommandTest, DescribesAndMeasures) {
  const RunResult info = tokenizer({"info", "--model", golden_, "--json"});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  EXPECT_EQ(parse_json(info.out, "stdout").at("vocab_size").as_integer(), 640);
  const std::string file = folder_.write("text.txt", std::string(10'000, 'a'));
  const RunResult bench = tokenizer({"encode", "-m", golden_, "--file", file, "--bench", "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  EXPECT_GT(parse_json(bench.out, "stdout").at("mb_per_s").as_number(), 0.0);
}

TEST_F(TokenizerCommandTest, SaysWhichOptionOrFileIsWrong) {
  const std::string broken = folder_.write("tokenizer.json", "{\"model\": ");
  expect_refused(
      {
          {{"encode", "--model", folder_ / "none", "--text", "a"}, folder_ / "none: no tokenizer"},
          {{"encode", "--model", broken, "--text", "a"},
           folder_ / "tokenizer.json: not valid JSON: The JSON document has an improper structure: "
                     "missing or superfluous commas, braces, missing keys, etc."},
          {{"encode", "--model", golden_}, "--text: no text"},
          {{"encode", "--model", golden_, "--text", "a", "--file", "b"},
           "--text: given together with --file"},
          {{"encode", "--model", golden_, "--file", folder_ / "none"},
           folder_ / "none: cannot be read"},
          {{"decode", "--model", golden_, "--ids", "1 x"}, "--ids: not a list of ids"},
          {{"decode", "--model", golden_, "--ids", "640"}, "--ids: no such token"},
          {{"decode", "--model", golden_, "--ids", "[1, \"x\"]"}, "--ids: not a list of ids"},
          {{"decode", "--model", golden_, "--ids", "{\"a\": 1}"}, "--ids: not a list of ids"},
          {{"decode", "--model", golden_}, "--ids: no ids"},
          {{"train", "--out", folder_ / "tok"}, "--data: missing"},
          {{"train", "--data", folder_ / "none", "--out", folder_ / "tok"},
           folder_ / "none: no file found"},
          {{"train", "--data", broken, "--out", folder_ / "tok", "--vocab-size", "10"},
           "--vocab-size: out of range"},
          {{"train", "--data", broken, "--out", "/proc/none"},
           "/proc/none: folder cannot be created",
           "",
           1},
      },
      {"tokenizer"});
}

}  // namespace
}  // namespace hadal
