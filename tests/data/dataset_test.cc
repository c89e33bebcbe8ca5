#include "hadal/data/dataset.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>
#include <numeric>
#include <thread>

#include "hadal/core/error.h"
#include "hadal/core/rng.h"
#include "hadal/corpus/mixture.h"
#include "hadal/data/bpe_trainer.h"
#include "hadal/data/prepared_folder.h"
#include "hadal/data/prepared_text.h"
#include "hadal/measure/byte_ngram.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

// Sentences of a small vocabulary: enough repetition for a tokenizer to learn something.
std::string random_text(uint64_t seed, int words) {
  constexpr const char* kWords[] = {"deep ",      "water ", "holds ",  "latent ",   "heads, ",
                                    "experts.\n", "route ", "tokens ", "caf\u00e9 "};
  Rng rng(seed);
  std::string text;
  for (int i = 0; i < words; ++i) text += kWords[rng.uniform_below(std::size(kWords))];
  return text;
}

void write_corpus(const TemporaryFolder& folder, int documents = 60) {
  for (int i = 0; i < documents; ++i) {
    const auto seed = static_cast<uint64_t>(i);
    folder.write(std::to_string(i) + ".txt", random_text(seed, 20 + i * 7));
  }
  folder.write("copy.txt", random_text(5, 20 + 5 * 7));
}

DataConfig small_config(const TemporaryFolder& text, const TemporaryFolder& cache) {
  DataConfig config;
  config.paths = {text.path()};
  config.corpus.validation_fraction = 0.2;
  config.seq_len = 32;
  config.vocab_size = smallest_trained_vocab_size() + 50;
  config.cache_dir = cache.path();
  return config;
}

std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename() != "manifest.json") {
      files[fs::relative(entry.path(), folder).string()] = test::read_bytes(entry.path().string());
    }
  }
  return files;
}

TEST(PrepareData, FromFolderToBatches) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  ThreadPool pool(2);
  PreparedData data = prepare_data(small_config(text, cache), pool);
  EXPECT_FALSE(data.reused);
  EXPECT_EQ(data.counts.corpus.documents, 60);
  EXPECT_EQ(data.counts.corpus.duplicates, 1);
  EXPECT_EQ(data.train->n_sequences(), data.counts.train_rows);
  // Each row gives at most 32 targets; the unused rest is padding.
  EXPECT_GE(data.counts.train_rows * 33 - data.counts.train_padding, data.counts.train_tokens);
  const Batch batch = data.train->next(4);
  EXPECT_EQ(batch.tokens.size(), 4u * 32);
  for (const int32_t id : batch.tokens) EXPECT_LT(id, data.tokenizer.vocab_size());
}

TEST(PrepareData, TargetBytesOfTheHeldOutRowsAreTheHeldOutText) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  ThreadPool pool(2);
  const PreparedData data = prepare_data(small_config(text, cache), pool);
  ASSERT_GT(data.validation_rows(), 3);
  int64_t bytes = 0;
  for (int64_t row = 0; row < data.validation_rows(); ++row) {
    bytes += data.target_bytes(data.validation_batch(row, 1));
  }
  EXPECT_EQ(bytes, data.counts.corpus.validation_bytes);
  // The text for people is the same text.
  int64_t text_bytes = 0;
  const auto lines = open_sources({{data.folder + "/validation.jsonl", 0, 0, 0, ""}}, {});
  while (const auto document = lines->next()) {
    text_bytes += static_cast<int64_t>(document->text.size());
  }
  EXPECT_EQ(bytes, text_bytes);
}

TEST(PrepareData, ByteModelScoresTheHeldOutRowsAsItScoresTheText) {
  const TemporaryFolder text, cache;
  // Documents shorter than a row: nothing is cut, so rows and text are the same question.
  for (int i = 0; i < 60; ++i) {
    text.write(std::to_string(i) + ".txt", random_text(static_cast<uint64_t>(i), 20 + i));
  }
  ThreadPool pool(2);
  DataConfig config = small_config(text, cache);
  config.seq_len = 600;
  const PreparedData data = prepare_data(config, pool);
  ByteNgram model(3);
  for_each_training_text(data.folder, [&](std::string_view part) { model.add(part); });
  model.finish();
  double expected = 0.0;
  const auto lines = open_sources({{data.folder + "/validation.jsonl", 0, 0, 0, ""}}, {});
  while (const auto document = lines->next()) expected += model.bits(document->text);
  const Batch rows = data.validation_batch(0, data.validation_rows());
  EXPECT_NEAR(ngram_bits(model, data.tokenizer, rows), expected, 1e-6 * expected);
}

TEST(PrepareData, ThreadCountDoesNotChangeAByte) {
  const TemporaryFolder text, cache_one, cache_many;
  write_corpus(text);
  // One document above the size that is shared among threads.
  text.write("long.txt", random_text(999, 200000));
  ThreadPool one(1), many(5);
  DataConfig config = small_config(text, cache_one);
  config.fim_rate = 0.5;
  config.boundary_split_rate = 0.5;
  const PreparedData first = prepare_data(config, one);
  config.cache_dir = cache_many.path();
  const PreparedData second = prepare_data(config, many);
  EXPECT_EQ(files_of(first.folder), files_of(second.folder));
  EXPECT_GE(files_of(first.folder).size(), 5u);
}

TEST(PrepareData, IsReusedUntilInputOrSettingsChange) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  ThreadPool pool(2);
  DataConfig config = small_config(text, cache);
  const PreparedData first = prepare_data(config, pool);
  const PreparedData again = prepare_data(config, pool);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.folder, first.folder);
  EXPECT_EQ(again.counts.train_tokens, first.counts.train_tokens);
  config.seq_len = 48;
  EXPECT_FALSE(prepare_data(config, pool).reused);
  config.seq_len = 32;
  text.write("new.txt", "one more document that was not there");
  EXPECT_FALSE(prepare_data(config, pool).reused);
}

TEST(PrepareData, ResumedTrainingDataContinuesAfterReopening) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  ThreadPool pool(2);
  const DataConfig config = small_config(text, cache);
  PreparedData data = prepare_data(config, pool);
  data.train->next(5);
  const Json position = data.train->position();
  const Batch expected = data.train->next(7);
  PreparedData reopened = prepare_data(config, pool);
  reopened.train->restore(position);
  EXPECT_EQ(reopened.train->next(7).tokens, expected.tokens);
}

TEST(PrepareData, GivenTokenizerIsCopiedAndUsed) {
  const TemporaryFolder text, cache, other_cache;
  write_corpus(text);
  ThreadPool pool(2);
  DataConfig config = small_config(text, cache);
  const PreparedData trained = prepare_data(config, pool);
  config.tokenizer = trained.tokenizer_folder;
  config.cache_dir = other_cache.path();
  const PreparedData given = prepare_data(config, pool);
  EXPECT_EQ(files_of(given.folder), files_of(trained.folder));
  for (const char* name : {"0.txt", "missing"}) {
    config.tokenizer = text / name;
    test::expect_refused<FormatError>([&] { prepare_data(config, pool); }, config.tokenizer + ": ");
  }
}

TEST(PrepareData, FailureLeavesNothingAndDamageIsRepaired) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  ThreadPool pool(2);
  const DataConfig config = small_config(text, cache);
  const std::string cut = text.write("zz-cut.gz", "\x1F\x8B\x08 and no more");
  test::expect_refused<FormatError>([&] { prepare_data(config, pool); }, cut + ": ");
  EXPECT_TRUE(cache.names().empty());
  fs::remove(text / "zz-cut.gz");

  const PreparedData data = prepare_data(config, pool);
  const auto whole = files_of(data.folder);
  for (const std::string name :
       {"train-00000.tokens", "manifest.json", "tokenizer/tokenizer.json"}) {
    fs::resize_file(data.folder + "/" + name, 100);
    EXPECT_FALSE(prepare_data(config, pool).reused) << name;
    EXPECT_EQ(files_of(data.folder), whole);
  }
  // What a killed process left is swept away: no process has this number.
  fs::create_directories(data.folder + ".partial-2000000000");
  fs::resize_file(data.folder + "/train-00000.tokens", 100);
  prepare_data(config, pool);
  EXPECT_EQ(cache.names().size(), 1u);
}

TEST(PreparedFolder, AMissingOrCutShardIsNamed) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  ThreadPool pool(1);
  const PreparedData data = prepare_data(small_config(text, cache), pool);
  const auto error_of = [&] {
    try {
      open_prepared_folder(data.folder, 0);
    } catch (const FormatError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string first = data.folder + "/train-00000.tokens";
  const std::string manifest_path = data.folder + "/manifest.json";
  const std::string manifest = test::read_bytes(manifest_path);
  // A folder of two shards whose second is gone reads as one that says fewer rows than its manifest.
  Json more = parse_json(manifest, manifest_path);
  more["counts"]["train_rows"] = data.counts.train_rows + 7;
  cache.write(fs::relative(manifest_path, cache.path()).string(), more.dump());
  EXPECT_EQ(error_of().find(data.folder + "/train-00001.tokens: missing"), 0u) << error_of();
  more["counts"]["train_rows"] = data.counts.train_rows - 1;
  cache.write(fs::relative(manifest_path, cache.path()).string(), more.dump());
  EXPECT_EQ(error_of().find(first + ": one too many"), 0u) << error_of();
  cache.write(fs::relative(manifest_path, cache.path()).string(),
              "{\"format\":\"hadal prepared data\",\"version\":2}");
  EXPECT_EQ(error_of().find(manifest_path + ": "), 0u) << error_of();
  cache.write(fs::relative(manifest_path, cache.path()).string(), manifest);
  EXPECT_EQ(error_of(), "");
  fs::resize_file(first, fs::file_size(first) - 2);
  EXPECT_EQ(error_of().find(first + ": "), 0u) << error_of();
  fs::remove(first);
  EXPECT_EQ(error_of().find(first + ": "), 0u) << error_of();
}

TEST(PrepareData, EncodingAndRemarksAreKeptWithTheFolder) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  ThreadPool pool(1);
  const DataConfig config = small_config(text, cache);
  const Json settings = preparation_settings(config, list_source_files(config.paths));
  EXPECT_EQ(settings.find("encoding"), nullptr);  // folders of UTF-8 keep their names
  EXPECT_TRUE(prepare_data(config, pool).counts.corpus.remarks.empty());

  text.write("old.txt", "caf\xE9 " + random_text(99, 300));
  const PreparedData replaced = prepare_data(config, pool);
  ASSERT_EQ(replaced.counts.corpus.remarks.size(), 1u);
  const PreparedData again = prepare_data(config, pool);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.counts.corpus.remarks, replaced.counts.corpus.remarks);

  DataConfig latin = config;
  latin.corpus.source.encoding = "latin-1";
  const PreparedData converted = prepare_data(latin, pool);
  EXPECT_NE(converted.folder, replaced.folder);
  EXPECT_TRUE(converted.counts.corpus.remarks.empty());
  EXPECT_EQ(config_of_manifest(read_manifest(converted.folder)).corpus.source.encoding, "latin-1");
}

TEST(PrepareData, UnwritableCacheAndUselessInputAreSaid) {
  const TemporaryFolder text, cache;
  ThreadPool pool(1);
  DataConfig config = small_config(text, cache);
  test::expect_refused<ConfigError>([&] { prepare_data(config, pool); },
                                    text.path() + ": no file found");
  text.write("zeros.bin", std::string(100, '\0'));
  const Refusal no_text = test::refusal_of([&] { prepare_data(config, pool); });
  EXPECT_EQ(no_text.place, text.path());
  EXPECT_EQ(no_text.problem, "no text in it");
  write_corpus(text);
  config.cache_dir = text / "0.txt";  // a file where a folder must be
  test::expect_refused<IoError>([&] { prepare_data(config, pool); },
                                config.cache_dir + ": folder cannot be created (");
  config = small_config(text, cache);
  config.corpus.validation_fraction = 1.0;
  EXPECT_EQ(test::refusal_of([&] { prepare_data(config, pool); }).field,
            "data.validation_fraction");
  config = small_config(text, cache);
  config.vocab_size = 260;
  EXPECT_EQ(test::refusal_of([&] { prepare_data(config, pool); }).field, "data.vocab_size");
  config = small_config(text, cache);
  config.seq_len = 0;
  const Refusal short_rows = test::refusal_of([&] { prepare_data(config, pool); });
  EXPECT_EQ(short_rows.field, "data.seq_len");
  EXPECT_EQ(short_rows.found, "0");
  EXPECT_EQ(short_rows.expected, "2 to 16777215");
}

TEST(PreparedText, SplitsAreTheOnesThatWereTrainedOn) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  ThreadPool pool(2);
  const PreparedData data = prepare_data(small_config(text, cache), pool);
  int64_t train_bytes = 0;
  for_each_training_text(data.folder, [&](std::string_view part) {
    train_bytes += static_cast<int64_t>(part.size());
  });
  EXPECT_EQ(train_bytes, data.counts.corpus.train_bytes);
  text.write("0.txt", "changed since");
  const auto visit_all = [&] { for_each_training_text(data.folder, [](std::string_view) {}); };
  test::expect_refused<FormatError>(visit_all, data.folder + ": its sources have changed since");
  const std::string manifest = data.folder + "/manifest.json";
  cache.write(fs::relative(manifest, cache.path()).string(),
              "{\"format\":\"hadal prepared data\",\"version\":2}");
  test::expect_refused<FormatError>(visit_all, manifest + ": missing key \"settings\"");
}

// Runs of one process that begin together on one text.
// Files of one repository that all include the one before, and the first the last: one document.
class RepositoryInAMixture : public ::testing::Test {
 protected:
  static constexpr int kFiles = 240;
  RepositoryInAMixture() {
    Rng rng(3);
    for (int i = 0; i < kFiles; ++i) {
      const int before = (i + kFiles - 1) % kFiles;
      content_.push_back(concat(
          "#include \"", name(before), "\"\n",
          random_text(static_cast<uint64_t>(i), 5 + static_cast<int>(rng.uniform_below(400)))));
      if (content_.back().back() != '\n') content_.back() += '\n';
      text_.write("repository/" + name(i), content_.back());
    }
    for (int i = 0; i < 60; ++i) {
      text_.write(concat("general/", i, ".txt"), random_text(static_cast<uint64_t>(1000 + i), 400));
    }
  }
  static std::string name(int i) { return concat("f", i / 100, i / 10 % 10, i % 10, ".h"); }
  DataConfig mixed(const TemporaryFolder& cache) const {
    DataConfig config = small_config(text_, cache);
    config.paths = {text_ / "repository", text_ / "general"};
    config.shares = {60, 40};
    config.corpus.source.repositories = true;
    config.corpus.validation_fraction = 0.0;
    config.seq_len = 1 << 16;
    config.fim_rate = config.boundary_split_rate = 0.0;
    return config;
  }
  // Does the data hold as many tokens of each source as its shares want? They may be a thousandth of all off.
  static void expect_shares(const PreparedData& data, const DataConfig& config) {
    const std::vector<int64_t>& tokens = data.counts.source_tokens;
    ASSERT_EQ(tokens.size(), 2U);
    EXPECT_EQ(tokens[0] + tokens[1], data.counts.train_tokens);
    EXPECT_LT(largest_deviation(tokens, config.shares), 1e-3) << tokens[0] << " " << tokens[1];
  }

  const TemporaryFolder text_, cache_;
  std::vector<std::string> content_;
  ThreadPool pool_{2};
};

TEST_F(RepositoryInAMixture, IsCutBetweenItsFiles) {
  const DataConfig config = mixed(cache_);
  PreparedData data = prepare_data(config, pool_);
  expect_shares(data, config);
  const Batch batch = data.train->next(data.counts.train_rows);
  const std::string text = data.tokenizer.decode(batch.tokens);
  std::string expected;
  int taken = 0, without_gap = 0;
  for (int i = 0; i < kFiles; ++i) {
    if (text.find("// " + name(i) + "\n") == std::string::npos) continue;
    expected += "// " + name(i) + "\n" + content_[static_cast<size_t>(i)];
    ++taken;
    if (without_gap == i) ++without_gap;
  }
  EXPECT_NE(text.find(expected), std::string::npos) << "whole files, each behind what it uses";
  EXPECT_GT(without_gap, 100) << "the first of them with all that they use";
  EXPECT_LT(taken, kFiles);
}

TEST_F(RepositoryInAMixture, MarksAndSplitTokensLeaveTheSharesAsTheyAre) {
  DataConfig config = mixed(cache_);
  config.fim_rate = 0.5;
  config.boundary_split_rate = 0.1;
  for (config.seed = 0; config.seed < 4; ++config.seed) {
    expect_shares(prepare_data(config, pool_), config);
  }
}

TEST_F(RepositoryInAMixture, IsTheSameForAnyNumberOfThreads) {
  const TemporaryFolder other;
  ThreadPool one(1);
  (void)prepare_data(mixed(cache_), pool_);
  (void)prepare_data(mixed(other), one);
  EXPECT_EQ(files_of(cache_.path()), files_of(other.path()));
}

TEST(PrepareData, ThreadsThatWantTheSameTextShareIt) {
  const TemporaryFolder text, cache;
  write_corpus(text);
  const DataConfig config = small_config(text, cache);
  std::array<int, 4> reused = {};
  {
    std::vector<std::jthread> threads;
    for (int& each : reused) {
      threads.emplace_back([&] {
        ThreadPool pool(1);
        each = prepare_data(config, pool).reused ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(std::accumulate(reused.begin(), reused.end(), 0), 3);
}

}  // namespace
}  // namespace hadal
