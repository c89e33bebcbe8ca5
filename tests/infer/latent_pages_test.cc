// Pages are taken lowest first, never twice, and all come back.
#include "hadal/infer/latent_pages.h"

#include "gtest/gtest.h"
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
    std::vector<float> result;
    for (const auto& piece : sequence.pieces(layer, 0, sequence.length(layer))) {
      const std::vector<float> values = elements(piece);
      result.insert(result.end(), values.begin(), values.end());
    }
    return result;
  }
  RandomModel random_{odd_config()};
  LatentPages pages_{random_.model.config, 5, 1};
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
  EXPECT_EQ(first.pieces(2, 0, 120).size(), 2U);
  EXPECT_EQ(cached(first, 2), want_first);
  EXPECT_EQ(cached(second, 2), want_second);
}

TEST_F(LatentPagesTest, OneSequenceAloneLiesInOnePiece) {
  OneSequence alone(random_.model.config, 5 * kPageRows, 0);
  for (const int64_t n : {1, 70, 200}) {
    alone.sequence.append(random_.ctx, 0, latents(n, static_cast<uint64_t>(n)).mat());
    EXPECT_EQ(alone.sequence.pieces(0, 0, alone.sequence.length(0)).size(), 1U);
  }
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
  EXPECT_EQ(LatentPages::bytes_per_token(v3, 1), 62 * 576 * 4);
}

}  // namespace
}  // namespace hadal
