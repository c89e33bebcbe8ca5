// Pages are taken lowest first, never twice, and all come back.
#include "hadal/infer/latent_pages.h"

#include "gtest/gtest.h"
#include "hadal/model/config.h"
#include "tests/infer/one_sequence.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

using test::elements;
using test::odd_config;
using test::OneSequence;
using test::RandomModel;

class LatentPagesTest : public testing::Test {
 protected:
  Tensor latents(int64_t n, uint64_t seed) {
    const ModelConfig& config = random_.model.config;
    return random_.random_rows(n, config.kv_lora_rank + config.qk_rope_head_dim, seed);
  }
  std::vector<float> cached(const LatentSequence& sequence, int64_t layer) {
    return elements(test::cached_rows(random_.ctx, sequence, layer).mat());
  }
  RandomModel random_{odd_config()};
  LatentPages pages_{random_.model.config, 5, 1, LatentForm::kF32};
};

TEST_F(LatentPagesTest, TheLowestFreePageComesFirst) {
  for (int32_t id = 0; id < 5; ++id) EXPECT_EQ(pages_.take(), id);
  EXPECT_EQ(pages_.take(), std::nullopt);
  for (const int32_t id : {3, 1, 2}) pages_.give_back(id);
  EXPECT_EQ(pages_.n_free(), 3);
  for (const int32_t id : {1, 2, 3}) EXPECT_EQ(pages_.take(), id);
  EXPECT_EQ(pages_.take(), std::nullopt);
}

TEST_F(LatentPagesTest, AFullPoolIsAnAnswerAndTakesNothing) {
  LatentSequence first(pages_), second(pages_);
  EXPECT_TRUE(first.reserve(3 * kPageRows));
  EXPECT_FALSE(second.reserve(2 * kPageRows + 1));
  EXPECT_EQ(second.n_pages(), 0);
  EXPECT_EQ(pages_.n_free(), 2);
  EXPECT_TRUE(second.reserve(2 * kPageRows));
  EXPECT_FALSE(first.reserve(3 * kPageRows + 1));
  EXPECT_TRUE(first.reserve(3 * kPageRows)) << "what it has already";
}

TEST_F(LatentPagesTest, PagesGoBackWithTheRowsAndTheSequence) {
  {
    LatentSequence sequence(pages_);
    ASSERT_TRUE(sequence.reserve(200));
    for (int64_t layer = 0; layer < 4; ++layer) {
      sequence.append(random_.ctx, layer, latents(layer == 3 ? 150 : 200, 1).mat());
    }
    EXPECT_EQ(pages_.n_free(), 1);
    sequence.truncate_main(64);
    EXPECT_EQ(pages_.n_free(), 2) << "the MTP module still has 150 rows";
    sequence.truncate(3, 63);
    EXPECT_EQ(pages_.n_free(), 4);
    EXPECT_EQ(sequence.shortest(), 63);
  }
  EXPECT_EQ(pages_.n_free(), 5);
}

TEST_F(LatentPagesTest, RowsKeepTheirValuesWhereverTheyLie) {
  LatentSequence first(pages_), second(pages_);
  std::vector<float> want_first, want_second;
  for (uint64_t round = 0; round < 4; ++round) {  // 120 and 160 rows, a page now and then
    for (const auto& [sequence, want, n] :
         {std::tuple(&first, &want_first, 30), std::tuple(&second, &want_second, 40)}) {
      const Tensor rows = latents(n, 2 * round + (sequence == &first));
      ASSERT_TRUE(sequence->reserve(sequence->length(2) + n));
      sequence->append(random_.ctx, 2, rows.mat());
      want->insert(want->end(), rows.flat<float>().begin(), rows.flat<float>().end());
    }
  }
  EXPECT_EQ(cached(first, 2), want_first);
  EXPECT_EQ(cached(second, 2), want_second);
}

TEST_F(LatentPagesTest, RefusesRowsThatWereNotReserved) {
  LatentSequence sequence(pages_);
  const auto expect_refusal = [&](int64_t layer, const Tensor& rows, const char* problem) {
    test::expect_refused<ShapeError>([&] { sequence.append(random_.ctx, layer, rows.mat()); },
                                     concat("latent pages: ", problem));
  };
  const Tensor row = latents(1, 1);
  const std::string one = "got " + shape_text(row.shape()) + " behind ";
  expect_refusal(0, row, (one + "0 rows, want [at most 0,").c_str());
  ASSERT_TRUE(sequence.reserve(1));
  sequence.append(random_.ctx, 0, latents(64, 1).mat());
  expect_refusal(0, row, (one + "64 rows, want [at most 0,").c_str());
  expect_refusal(1, random_.random_rows(1, 4, 1), "got [1,4] behind 0 rows, want [at most 64,");
  EXPECT_EQ(sequence.length(), 64);
}

TEST(LatentPages, ALongContextCostsAddressesNotMemory) {
  const ModelConfig v3;  // 61 layers, 163840 positions: 23 GB if every row were filled
  OneSequence sequence(v3, v3.max_position_embeddings, v3.n_mtp);
  EXPECT_EQ(sequence.pages.n_pages(), 2560);
}

// The table of what a cached token takes: published figures for BF16, and for FP8 with scales.
TEST(LatentPages, BytesOfATokenAreThePublishedOnes) {
  const auto bytes = [](const char* preset, LatentForm form, int64_t n_mtp = 0) {
    return LatentPages::bytes_per_token(find_preset(preset).config, n_mtp, form);
  };
  EXPECT_EQ(bytes("deepseek-v3", LatentForm::kF32), 2 * 70272);
  EXPECT_EQ(bytes("deepseek-v3", LatentForm::kBF16), 70272);
  EXPECT_EQ(bytes("deepseek-v3", LatentForm::kFp8), 40016);
  EXPECT_EQ(bytes("deepseek-v3", LatentForm::kBF16, 1), 71424);
  EXPECT_EQ(bytes("deepseek-v2", LatentForm::kBF16), 69120);
  EXPECT_EQ(bytes("deepseek-v2", LatentForm::kFp8), 39360);
  for (const char* preset : {"deepseek-v2-lite", "moonlight-16b-a3b"}) {
    EXPECT_EQ(bytes(preset, LatentForm::kBF16), 31104);
    EXPECT_EQ(bytes(preset, LatentForm::kFp8), 17712);
  }
}

}  // namespace
}  // namespace hadal
