// Figures that nobody would see to be wrong: of byte models and of measurements.
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <cmath>
#include <fstream>

#include "hadal/core/error.h"
#include "hadal/data/bpe_trainer.h"
#include "hadal/measure/byte_ngram.h"
#include "hadal/measure/doctor.h"
#include "hadal/measure/measure_gemm.h"
#include "hadal/measure/measure_infer.h"
#include "hadal/measure/measure_load.h"
#include "hadal/measure/measurement.h"
#include "hadal/model/convert.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal {
namespace {

// One byte each with count 1, 2, 3 and 4: y = 1/3, so D1 = 1/3, D2 = 1, D3 = 5/3 (Chen and Goodman),
// and what is taken off, D1 + D2 + 2 D3 = 14/3, is shared out among all 256 bytes.
TEST(Discounts, OnceTwiceAndMoreOftenLoseDifferentAmounts) {
  ByteNgram model(0);
  model.add("abbcccdddd");
  model.finish();
  const double shared = 14.0 / 3 / 256;
  EXPECT_DOUBLE_EQ(model.probability("", 'a'), (1 - 1.0 / 3 + shared) / 10);
  EXPECT_DOUBLE_EQ(model.probability("", 'b'), (2 - 1.0 + shared) / 10);
  EXPECT_DOUBLE_EQ(model.probability("", 'c'), (3 - 5.0 / 3 + shared) / 10);
  EXPECT_DOUBLE_EQ(model.probability("", 'd'), (4 - 5.0 / 3 + shared) / 10);
  EXPECT_DOUBLE_EQ(model.probability("", 'z'), shared / 10);
}

// A byte's share at the lowest level is of the different bytes before it, not of its occurrences: in
// "aaab" a follows two (the beginning and a), b one. D1 = 1/3 as above, D2 is held below 2.
TEST(Discounts, ShorterContextsCountDifferentContinuations) {
  ByteNgram model(1);
  model.add("aaab");
  model.finish();
  const double shared = (1.0 / 3 + 1.95) / 256;
  EXPECT_DOUBLE_EQ(model.probability("z", 'a'), (2 - 1.95 + shared) / 3);
  EXPECT_DOUBLE_EQ(model.probability("z", 'b'), (1 - 1.0 / 3 + shared) / 3);
}

// Nothing of the document before may help to predict the next one.
TEST(NgramBits, ADocumentBeginsWithoutHistory) {
  const test::TemporaryFolder folder;
  ThreadPool pool(1);
  BpeTrainerOptions options;
  options.vocab_size = smallest_trained_vocab_size();
  BpeTrainer trainer(options, pool);
  trainer.add("ab");
  write_tokenizer_folder(trainer.train(), folder.path());
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  const int32_t a = *tokenizer.token_id("a"), b = *tokenizer.token_id("b"),
                bos = *tokenizer.bos_id();
  ByteNgram model(2);
  for (int i = 0; i < 20; ++i) model.add("ab");
  model.finish();
  ASSERT_GT(model.probability("a", 'b'), 2 * model.probability("", 'b'));
  EXPECT_DOUBLE_EQ(ngram_bits(model, tokenizer, {1, 2, {a, b}, {b, -1}}),
                   -std::log2(model.probability("a", 'b')));
  EXPECT_DOUBLE_EQ(ngram_bits(model, tokenizer, {1, 3, {a, bos, b}, {bos, b, -1}}),
                   -std::log2(model.probability("", 'b')));
  EXPECT_DOUBLE_EQ(ngram_bits(model, tokenizer, {2, 1, {a, bos}, {b, b}}),
                   -std::log2(model.probability("a", 'b')) - std::log2(model.probability("", 'b')));
}

TEST(GemmShapes, SizesHaveALimit) {
  EXPECT_EQ(GemmShape::parse("1048576x1x2").m, 1048576);
  for (const char* wrong : {"1048577x1x2", "1x1x0"}) {
    test::expect_refused<ConfigError>([&] { GemmShape::parse(wrong); },
                                      concat("shape: not a shape (found '", wrong, "'"));
  }
}

// A small product is repeated within a round: its speed is that of one, within what a busy machine
// does to a clock.
TEST(MeasureGemm, ASmallProductIsAsFastAsItIs) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  MeasureGemmOptions options;
  options.shapes = {GemmShape::parse("16x16x64")};
  options.rounds = 3;
  const MeasureReport report = measure_gemm(ctx, options);
  EXPECT_GT(report.results.front().fraction_of_roof(), 5e-4);
}

// A token's weights in 4 bits are half a byte each.
TEST(MeasureDecode, WeightsReadAreThoseOfTheStoredForm) {
  test::RandomModel random(test::odd_config());
  const test::TemporaryFolder folder;
  test::save_folder(folder / "f32", random.model, {.dtype = SaveDType::kF32});
  const double active =
      static_cast<double>(count_parameters(random.model.config).active_without_embedding);
  for (const auto& [dtype, bytes_each] :
       {std::pair{WeightForm::kF32, 4.0}, {WeightForm::kQ8, 1.0}, {WeightForm::kQ4, 0.5}}) {
    const std::string converted = folder / concat("as-", bytes_each);
    convert_checkpoint(random.ctx, folder / "f32", converted, {.forms = {.projections = dtype}});
    DeepseekV3 model = load_model(random.ctx, converted, {.dtype = LoadAs::kAsStored});
    MeasureInferOptions options;
    options.prompt_tokens = 2;
    options.decode_tokens = 2;
    options.rounds = 1;
    const MeasureReport report = measure_decode(random.ctx, model, options);
    EXPECT_NEAR(report.results[1].value * 1e9 / report.results[0].value, bytes_each * active,
                1e-6 * active);
  }
}

// Both are counted from the folder on, so the token cannot come first.
TEST(MeasureLoad, FirstTokenComesBehindTheLoad) {
  test::RandomModel random(test::odd_config());
  const test::TemporaryFolder folder;
  test::save_folder(folder / "model", random.model, {.dtype = SaveDType::kBF16});
  for (const LoadAs dtype : {LoadAs::kAsStored, LoadAs::kF32}) {
    const MeasureReport report =
        measure_load(random.ctx, folder / "model", {.dtype = dtype, .rounds = 2});
    ASSERT_EQ(report.results.size(), 4u);
    EXPECT_EQ(report.results[0].name, "load");
    EXPECT_EQ(report.results[2].name, "first token");
    EXPECT_GT(report.results[0].value, 0);
    EXPECT_GT(report.results[2].value, report.results[0].value);
    // 200 MB beside the weights and 16 rows of the cache
    const double cache = 16.0 * static_cast<double>(LatentPages::bytes_per_token(
                                    random.model.config, 0, LatentForm::kBF16));
    EXPECT_EQ(report.results[3].name, "peak memory");
    EXPECT_NEAR(report.results[3].roof * (1 << 20),
                report.details.at("bytes").as_number() + cache + 200e6, 1);
  }
  const auto refused = [&](const LoadMeasureOptions& options) {
    return test::refusal_of([&] { measure_load(random.ctx, folder / "model", options); }).field;
  };
  EXPECT_EQ(refused({.rounds = 0}), "rounds");
  EXPECT_EQ(refused({.prompt_tokens = 0}), "prompt_tokens");
}

TEST(AvailableMemory, IsLessThanAllOfIt) {
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  double total = 0;
  meminfo >> key >> total;
  ASSERT_EQ(key, "MemTotal:");
  EXPECT_GT(available_memory_bytes(), 0);
  EXPECT_LT(available_memory_bytes(), total * 1024);
}

// The kernel says it in kB in another place, too; there what came before this program may count.
TEST(PeakMemory, IsInMebibytes) {
  const std::vector<char> in_use(size_t{64} << 20, 1);
  rusage usage{};
  ASSERT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  EXPECT_GT(peak_rss_mib(), 64) << in_use.size();
  EXPECT_LT(peak_rss_mib(), static_cast<double>(usage.ru_maxrss) / 1024 + 4);
}

}  // namespace
}  // namespace hadal
