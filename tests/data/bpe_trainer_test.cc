#include "hadal/data/bpe_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "hadal/core/error.h"
#include "hadal/core/json.h"
#include "hadal/core/rng.h"
#include "hadal/data/tokenizer.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

constexpr int64_t kSmallest = 274;  // 256 bytes, 18 tokens of the family

TrainedTokenizer train(const std::vector<std::string>& texts, int64_t vocab_size, int threads = 1) {
  ThreadPool pool(threads);
  BpeTrainer trainer({.vocab_size = vocab_size}, pool);
  for (const std::string& text : texts) trainer.add(text);
  return trainer.train();
}

std::vector<std::string> merges(const TrainedTokenizer& trained) {
  std::vector<std::string> out;
  const Json document = parse_json(trained.tokenizer_json, "trained");
  for (const Json& merge : document.at("model").at("merges").as_array()) {
    out.push_back(merge.as_string());
  }
  return out;
}

std::vector<std::string> sample_texts() {
  const std::vector<std::string> words = {"the",  "token", "tokens", "mixture", "of",  "experts",
                                          "中文", "🙂",  "12345",  "\n\n",    "  x", "é"};
  Rng rng(51);
  std::vector<std::string> texts(30);
  for (std::string& text : texts) {
    for (int i = 0; i < 400; ++i)
      text += (i % 7 ? " " : ", ") + words[rng.uniform_below(words.size())];
  }
  return texts;
}

// Counted by hand: "ab" stands 5 times (3 + 2), "bc" 3 times, "de" 3 times.
TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  const TrainedTokenizer trained = train({"abc1abc1abc1ab1ab1de1de1de1"}, kSmallest + 3);
  EXPECT_EQ(merges(trained), (std::vector<std::string>{"a b", "ab c", "d e"}));
}

// All pairs stand twice: smallest bytes first, and a pair in a run counts each time it stands.
TEST(BpeTrainer, BreaksTiesByBytes) {
  const TrainedTokenizer trained = train({"zy1zy1ba1ba1bb1bb1"}, kSmallest + 3);
  EXPECT_EQ(merges(trained), (std::vector<std::string>{"b a", "b b", "z y"}));
}

TEST(BpeTrainer, NeverMergesAcrossPieces) {
  const TrainedTokenizer trained = train({"a1a1a1a1 b. b. b. b."}, kSmallest + 20);
  for (const std::string& merge : merges(trained)) {
    EXPECT_TRUE(merge == "Ġ b") << merge;
  }
}

TEST(BpeTrainer, ThreadsAndOrderDoNotMatter) {
  std::vector<std::string> texts = sample_texts();
  const TrainedTokenizer one = train(texts, 500, 1);
  std::reverse(texts.begin(), texts.end());
  const TrainedTokenizer three = train(texts, 500, 3);
  EXPECT_EQ(one.tokenizer_json, three.tokenizer_json);
  EXPECT_GT(merges(one).size(), 30U);
}

TEST(BpeTrainer, EveryTokenIsBuiltInOneWayAndNotTooLong) {
  ThreadPool pool(1);
  BpeTrainer trainer({.vocab_size = 400, .max_token_bytes = 8}, pool);
  trainer.add(std::string(100'000, ' ') + "abcabcabcabcabcbcabcab");
  const TrainedTokenizer trained = trainer.train();
  std::vector<std::string> results = merges(trained);
  for (std::string& merge : results) merge.erase(merge.find(' '), 1);
  std::sort(results.begin(), results.end());
  EXPECT_EQ(std::unique(results.begin(), results.end()), results.end());
  const Tokenizer tokenizer = Tokenizer::from_json(trained.tokenizer_json, "", "trained");
  for (int32_t id = 259; id < 259 + static_cast<int32_t>(results.size()); ++id) {
    EXPECT_LE(tokenizer.token_bytes(id).size(), 8U);
  }
}

TEST(BpeTrainer, WritesAFolderThatLoads) {
  const test::TemporaryFolder folder;
  const TrainedTokenizer trained = train(sample_texts(), 350);
  write_tokenizer_folder(trained, folder / "tok");
  const Tokenizer tokenizer = Tokenizer::load(folder / "tok");
  EXPECT_EQ(tokenizer.vocab_size(), trained.vocab_size);
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_EQ(tokenizer.token_id("<｜▁pad▁｜>"), 2);
  EXPECT_TRUE(tokenizer.add_bos());
  EXPECT_TRUE(tokenizer.fim_tokens());
  const std::string text = sample_texts().front();
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_LT(tokenizer.encode(text).size(), text.size() / 2);
}

TEST(BpeTrainer, SaysWhatCannotBe) {
  ThreadPool pool(1);
  for (const int64_t size : {kSmallest - 1, int64_t{1} << 40}) {
    test::expect_refused<ConfigError>([&] { BpeTrainer({.vocab_size = size}, pool); },
                                      concat("vocab_size: out of range (found ", size, ","));
  }
  BpeTrainer empty({.vocab_size = kSmallest}, pool);
  test::expect_refused<ConfigError>([&] { empty.train(); }, "tokenizer: no text to train on");
  EXPECT_EQ(train({"xyz"}, 1000).vocab_size, kSmallest);  // no pair stands twice
}

}  // namespace
}  // namespace hadal
