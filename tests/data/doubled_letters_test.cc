// A merge of two equal halves uses up the pair behind it, too: in "aab" no "ab" is left.
#include <gtest/gtest.h>

#include "hadal/core/thread_pool.h"
#include "hadal/data/bpe_trainer.h"
#include "hadal/data/tokenizer.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

TEST(DoubledLetters, PairsThatAMergeUsedUpCountNoMore) {
  const test::TemporaryFolder folder;
  ThreadPool pool(1);
  BpeTrainerOptions options;
  options.vocab_size = smallest_trained_vocab_size() + 3;
  BpeTrainer trainer(options, pool);
  for (int i = 0; i < 10; ++i) trainer.add("aab");
  for (int i = 0; i < 5; ++i) trainer.add("aa");
  for (int i = 0; i < 6; ++i) trainer.add("cd");
  write_tokenizer_folder(trainer.train(), folder.path());
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  for (const char* token : {"aa", "aab", "cd"}) EXPECT_TRUE(tokenizer.token_id(token)) << token;
  EXPECT_FALSE(tokenizer.token_id("ab"));
}

}  // namespace
}  // namespace hadal
