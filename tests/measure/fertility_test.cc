#include "hadal/measure/fertility.h"

#include <gtest/gtest.h>

#include "hadal/data/dataset.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

TEST(Fertility, CountsWordsAndCharactersOfEachPath) {
  const test::TemporaryFolder folder;
  folder.write("a/one.txt", " two  words\n");
  folder.write("a/two.txt", "a third\tand fourth");
  folder.write("b/zh.txt", "\u6df1\u5ea6 \u5b66");
  DataConfig config;
  config.paths = {folder / "a", folder / "b"};
  config.vocab_size = 300;
  config.cache_dir = folder / "cache";
  config.corpus.validation_fraction = 0.0;
  config.fim_rate = 0.0;
  ThreadPool pool(1);
  const PreparedData data = prepare_data(config, pool);
  const Corpus corpus = Corpus::scan(list_source_files(config.paths), config.corpus);
  const std::vector<Fertility> found = fertility(corpus, 2, data.tokenizer, pool);
  EXPECT_EQ(found[0].words, 6);
  EXPECT_EQ(found[0].characters, 12 + 18);
  EXPECT_EQ(found[0].bytes, 30);
  EXPECT_EQ(found[1].words, 2);
  EXPECT_EQ(found[1].characters, 4);
  EXPECT_EQ(found[1].bytes, 10);
  EXPECT_GT(found[1].tokens, 0);
  EXPECT_DOUBLE_EQ(found[1].tokens_per_character(), static_cast<double>(found[1].tokens) / 4);
  EXPECT_EQ(Fertility{}.tokens_per_word(), 0.0);
}

}  // namespace
}  // namespace hadal
