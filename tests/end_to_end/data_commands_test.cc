// `hadal data stats`, `dedup` and `pack`: what they count is counted here again by hand.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/json.h"
#include "hadal/data/tokenizer.h"
#include "tests/support/generated_text.h"
#include "tests/support/run_hadal.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_model_folder.h"

namespace hadal::test {
namespace {

namespace fs = std::filesystem;
using hadal::testing::expect_refused;
using hadal::testing::run_hadal;
using hadal::testing::RunResult;

class DataCommands : public ::testing::Test {
 protected:
  // Four different texts, one of them three times; an empty file and one that is no text.
  DataCommands() {
    folder_.write("in/a.txt", texts_[0]);
    folder_.write("in/b.md", texts_[1]);
    folder_.write("in/copy.txt", texts_[0]);
    folder_.write("in/data.bin", std::string("\0\1\2\0", 4));
    folder_.write("in/empty.txt", "");
    std::string lines;
    for (const std::string& text : {texts_[2], texts_[0], texts_[3]}) {
      Json record = Json::object();
      record["text"] = text;
      lines += record.dump() + "\n";
    }
    folder_.write("in/rows.jsonl", lines);
  }

  Json report(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--json", "--quiet"});
    const RunResult result = run_hadal(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out, "stdout");
  }
  static int64_t number(const Json& report, const char* key) { return report.at(key).as_integer(); }

  int64_t bytes() const {
    size_t sum = 0;
    for (const std::string& text : texts_) sum += text.size();
    return static_cast<int64_t>(sum);
  }
  // Of all texts, without marks.
  int64_t tokens(const std::string& tokenizer_folder) const {
    const Tokenizer tokenizer = Tokenizer::load(tokenizer_folder);
    size_t sum = 0;
    for (const std::string& text : texts_) sum += tokenizer.encode(text, false).size();
    return static_cast<int64_t>(sum);
  }
  void expect_corpus(const Json& counted) const {
    EXPECT_EQ(number(counted, "files"), 5);  // without the one that is no text
    EXPECT_EQ(number(counted, "binary_files_skipped"), 1);
    EXPECT_EQ(number(counted, "empty_documents_skipped"), 1);
    EXPECT_EQ(number(counted, "documents"), 4);
    EXPECT_EQ(number(counted, "bytes"), bytes());
    EXPECT_EQ(number(counted, "duplicates"), 2);
    EXPECT_EQ(number(counted, "duplicate_bytes"), 2 * static_cast<int64_t>(texts_[0].size()));
  }
  std::string in() const { return folder_ / "in"; }

  const std::vector<std::string> texts_ = {generated_text(1, 200), generated_text(2, 300),
                                           generated_text(3, 100), "Grüße, 世界\n"};
  const TemporaryFolder folder_;
};

TEST_F(DataCommands, StatsCountsWhatIsThere) {
  expect_corpus(report({"data", "stats", in()}));
  const Json with_tokens = report({"data", "stats", in(), "--tokenizer", tokenizer_folder()});
  EXPECT_EQ(number(with_tokens, "tokens"), tokens(tokenizer_folder()));
  EXPECT_DOUBLE_EQ(with_tokens.at("bytes_per_token").as_number(),
                   static_cast<double>(bytes()) / static_cast<double>(tokens(tokenizer_folder())));
  EXPECT_NE(run_hadal({"data", "stats", in(), "--quiet"}).out.find("duplicate_bytes"),
            std::string::npos);
}

TEST_F(DataCommands, DedupWritesEveryTextOnce) {
  const std::string out = folder_ / "unique.jsonl";
  expect_corpus(report({"data", "dedup", in(), "--out", out}));
  std::vector<std::string> kept;
  const std::string lines = read_bytes(out);
  for (size_t begin = 0; begin < lines.size(); begin = lines.find('\n', begin) + 1) {
    const std::string line = lines.substr(begin, lines.find('\n', begin) - begin);
    kept.push_back(parse_json(line, out).at("text").as_string());
  }
  EXPECT_EQ(kept, texts_);
  const Json again = report({"data", "stats", out});
  EXPECT_EQ(number(again, "documents"), 4);
  EXPECT_EQ(number(again, "duplicates"), 0);
  EXPECT_EQ(number(again, "bytes"), bytes());
}

TEST_F(DataCommands, PackMakesSequencesOfEveryToken) {
  const std::vector<std::string> arguments = {"data",
                                              "pack",
                                              in(),
                                              "--out",
                                              folder_ / "prepared",
                                              "--seq-len",
                                              "2048",
                                              "--vocab-size",
                                              "300",
                                              "--fim-rate",
                                              "0",
                                              "--threads",
                                              "2",
                                              "--validation-fraction",
                                              "0",
                                              "--boundary-split-rate",
                                              "0"};
  const Json packed = report(arguments);
  expect_corpus(packed);
  EXPECT_EQ(packed.at("reused"), Json(false));
  const std::string tokenizer = packed.at("folder").as_string() + "/tokenizer";
  EXPECT_EQ(Tokenizer::load(tokenizer).vocab_size(), 300);
  // Each document with a mark before and after; none is longer than a row, so none is cut.
  EXPECT_EQ(number(packed, "tokens"), tokens(tokenizer) + 2 * 4);
  EXPECT_EQ(number(packed, "train_tokens"), number(packed, "tokens"));
  EXPECT_EQ(number(packed, "train_sequences") * (2048 + 1),
            number(packed, "train_tokens") + number(packed, "train_padding"));
  EXPECT_EQ(number(packed, "validation_sequences"), 0);
  EXPECT_EQ(report(arguments).at("reused"), Json(true));

  std::vector<std::string> every_copy = arguments;
  every_copy.push_back("--keep-duplicates");
  const Json copies = report(every_copy);
  EXPECT_EQ(number(copies, "documents"), 6);
  EXPECT_EQ(number(copies, "duplicates"), 0);
}

TEST_F(DataCommands, RefusalsNameTheOptionAndLeaveNothing) {
  const std::string out = folder_ / "out";
  expect_refused(
      {
          {{"stats", folder_ / "missing"}, folder_ / "missing: no file found"},
          {{"stats", in(), "--tokenizer", folder_ / "missing"}, folder_ / "missing: no tokenizer"},
          {{"stats", in(), "--max-document-bytes", "10"},
           folder_ / "in/a.txt: one document is too long"},
          {{"dedup", in(), "--text-field", "body", "--out", out},
           folder_ / "in/rows.jsonl: line 1: no text in it"},
          {{"pack", in(), "--out", out, "--seq-len", "1"}, "--seq-len: out of range"},
          {{"pack", in(), "--out", out, "--fim-rate", "2"}, "--fim-rate: not a share"},
      },
      {"data"});
  EXPECT_FALSE(fs::exists(out));
}

}  // namespace
}  // namespace hadal::test
