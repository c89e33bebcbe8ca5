// The record of a request: the experts of every row as `hadal dump` finds them in one pass over the
// finished text, whatever drafts were dropped, rows read again and neighbours beside it; and the ids
// that the sampler had left.
#include "hadal/infer/token_record.h"

#include "gtest/gtest.h"
#include "hadal/core/error.h"
#include "hadal/infer/session.h"
#include "hadal/model/dump.h"
#include "tests/support/random_model.h"

namespace hadal {
namespace {

using test::RandomModel;

class TokenRecordTest : public testing::Test {
 protected:
  // [rows][layers with experts][top_k] of the text as one sequence.
  std::vector<int32_t> dumped(const std::vector<int32_t>& tokens) {
    const std::vector<NamedTensor> all =
        dump_inference(random_.ctx, random_.model, {tokens}, {.routing = true});
    std::vector<int32_t> experts;
    for (int64_t row = 0; row + 1 < std::ssize(tokens); ++row) {
      for (const int layer : {1, 2}) {
        for (const NamedTensor& each : all) {
          if (each.name != concat("seq0.router.", layer, ".indices")) continue;
          const auto chosen = each.tensor.view<int32_t, 2>().row(row);
          experts.insert(experts.end(), chosen.begin(), chosen.end());
        }
      }
    }
    return experts;
  }
  GenerateOptions recorded(int64_t n) const {
    GenerateOptions options{.max_tokens = n, .record = true};
    options.sampling = {.temperature = 1.0, .top_k = 6, .top_p = 0.8, .seed = 3};
    return options;
  }

  RandomModel random_{test::odd_config(), 3};
  std::vector<int32_t> prompt_ = random_.random_tokens(30, 2);
};

TEST_F(TokenRecordTest, HoldsTheExpertsOfEveryRow) {
  GenerateOptions options = recorded(40);
  std::vector<TokenRecord> records;
  for (options.draft_tokens = 0; options.draft_tokens <= 3; ++options.draft_tokens) {
    const GenerateResult result = generate(random_.ctx, random_.model, prompt_, options);
    const TokenRecord& record = result.record.value();
    EXPECT_EQ(record.n_rows(), 30 + 40 - 1);
    EXPECT_EQ(record.n_layers, 2);
    EXPECT_EQ(record.top_k, 3);
    std::vector<int32_t> text = prompt_;
    text.insert(text.end(), result.tokens.begin(), result.tokens.end());
    EXPECT_EQ(record.experts, dumped(text)) << options.draft_tokens << " drafts";
  }
}

TEST_F(TokenRecordTest, HoldsTheIdsThatTheSamplerHadLeft) {
  const GenerateResult result = generate(random_.ctx, random_.model, prompt_, recorded(40));
  const TokenRecord& record = *result.record;
  ASSERT_EQ(record.mask_offsets.size(), 41U);
  for (size_t i = 0; i < 40; ++i) {
    const std::span<const int32_t> ids(record.mask_ids.begin() + record.mask_offsets[i],
                                       record.mask_ids.begin() + record.mask_offsets[i + 1]);
    EXPECT_GE(ids.size(), 1U);
    EXPECT_LE(ids.size(), 6U);
    EXPECT_TRUE(std::ranges::is_sorted(ids));
    EXPECT_NE(std::ranges::find(ids, result.tokens[i]), ids.end()) << "the token itself is there";
  }
}

TEST_F(TokenRecordTest, IsTheSameBesideOthersAndAfterPagesWereTakenAway) {
  const GenerateOptions options = recorded(90);
  const GenerateResult alone = generate(random_.ctx, random_.model, prompt_, options);
  Engine engine(random_.ctx, random_.model,
                {.context = 128, .capacity = 3 * 64, .chunk = 16, .chunk_beside_decoding = 8});
  Request other{.prompt = random_.random_tokens(20, 9), .options = {.max_tokens = 100}};
  engine.add(other);
  const RequestId id = engine.add({.prompt = prompt_, .options = options}).value();
  std::optional<TokenRecord> record;
  int64_t preemptions = 0;
  while (!engine.idle()) {
    for (const EngineEvent& event : engine.step()) {
      if (event.id == id && event.record) record = event.record;
      if (event.id == id) preemptions = event.counts.preemptions;
    }
  }
  EXPECT_GT(preemptions, 0);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->experts, alone.record->experts);
  EXPECT_EQ(record->mask_ids, alone.record->mask_ids);
  EXPECT_EQ(record->mask_offsets, alone.record->mask_offsets);
}

TEST(TokenRecord, IsCutToWhatWasTold) {
  TokenRecord record;
  record.n_layers = 1;
  record.top_k = 2;
  record.experts = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  record.add_mask(std::vector<int32_t>{5, 6});
  record.add_mask(std::vector<int32_t>{7});
  record.add_mask(std::vector<int32_t>{8, 9});
  record.cut(2, 2);  // the last token told was never run
  EXPECT_EQ(record.experts, (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(record.mask_offsets, (std::vector<int32_t>{0, 2, 3}));
  EXPECT_EQ(record.mask_ids, (std::vector<int32_t>{5, 6, 7}));
}

TEST_F(TokenRecordTest, EndsWhereTheCallerStops) {
  int64_t n = 0;
  GenerateOptions options = recorded(40);
  options.draft_tokens = 3;
  const GenerateResult result =
      generate(random_.ctx, random_.model, prompt_, options, [&](int32_t) { return ++n < 7; });
  EXPECT_EQ(result.record->n_rows(), 30 + 7 - 1);
  EXPECT_EQ(result.record->mask_offsets.size(), 8U);
  options.record = false;
  EXPECT_FALSE(generate(random_.ctx, random_.model, prompt_, options).record.has_value());
}

}  // namespace
}  // namespace hadal
