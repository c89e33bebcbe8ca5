#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/measure/measure_engine.h"
#include "hadal/measure/measure_gemm.h"
#include "hadal/measure/measure_infer.h"
#include "hadal/measure/measure_train.h"
#include "hadal/measure/model_flops.h"
#include "hadal/measure/roofline.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

// No test here asserts a time: only that figures are computed and held against a limit.

TEST(Roofline, BestWindowSpreadsWorkOverItsTime) {
  // Thread 0 works 10 per second all the time; thread 1 does 30 within [1, 2) only.
  const std::vector<std::vector<WorkSpan>> threads = {{{0, 4, 40}}, {{1, 2, 30}}};
  EXPECT_NEAR(best_window_rate(threads, 0, 4, 1), 40, 1e-9);
  EXPECT_NEAR(best_window_rate(threads, 0, 4, 2), 25, 1e-9);  // [0, 2): 20 + 30 in two seconds
  EXPECT_NEAR(best_window_rate(threads, 2, 4, 1), 10, 1e-9);
}

TEST(Roofline, ThreadsThatTakeTurnsDoNotCountAsBoth) {
  const std::vector<std::vector<WorkSpan>> threads = {{{0, 1, 10}}, {{1, 2, 10}}};
  EXPECT_NEAR(best_window_rate(threads, 0, 2, 1), 10, 1e-9);
}

TEST(Roofline, MeasuresSomething) {
  ThreadPool pool(2);
  EXPECT_GT(fma_gflop_per_s(pool, 0.01), 0);
  EXPECT_GT(dram_read_gb_per_s(pool, 0.01), 0);
}

TEST(ModelFlops, TheComparisonShape) {
  const ModelConfig shape = training_peer_shape();
  shape.validate();
  EXPECT_EQ(count_parameters(shape).total, 11829712);
  EXPECT_EQ(count_parameters(shape).active_without_embedding, 4882896);
  // 6 x active + 3 x 6 layers x 4 heads x 256 tokens x (48 + 32)
  EXPECT_DOUBLE_EQ(training_flops_per_token(shape, 256), 6.0 * 4882896 + 3.0 * 6 * 4 * 256 * 80);
}

// A module of nano: projection 2 x 128 x 128 and three norms, a layer (two norms, attention, router with
// its biases, four of sixteen experts and the shared one) and the head.
TEST(ModelFlops, MtpModulesCountInTraining) {
  ModelConfig shape = find_preset("nano").config;
  const double with = training_flops_per_token(shape, 256);
  EXPECT_EQ(shape.n_mtp, 1);
  shape.n_mtp = 0;
  const double attention = 128 * 4 * 48 + 128 * (64 + 16) + 64 + 64 * 4 * 64 + 4 * 32 * 128;
  const double layer = 2 * 128 + attention + 16 * 128 + 16 + 5 * 3 * 128 * 64;
  const double module = 2 * 128 * 128 + 3 * 128 + layer + 4096 * 128;
  EXPECT_DOUBLE_EQ(with - training_flops_per_token(shape, 256), 6.0 * module + 3.0 * 4 * 256 * 80);
}

TEST(GemmShape, ReadsBothForms) {
  EXPECT_EQ(GemmShape::parse("64x512x256").text(), "64x512x256");
  const GemmShape grouped = GemmShape::parse("8x4x16x32");
  EXPECT_EQ(grouped.experts, 8);
  EXPECT_EQ(grouped.m, 4);
  EXPECT_EQ(grouped.n, 16);
  EXPECT_EQ(grouped.k, 32);
  for (const char* text : {"", "1", "1x2", "1x2x", "1x2x3x4x5", "0x1x1", "-1x1x1", "1x2x3 ",
                           "axbxc", "1x2x99999999999"}) {
    const Refusal why = test::refusal_of([&] { GemmShape::parse(text); });
    EXPECT_EQ(why.field, "shape") << text;
    EXPECT_EQ(why.found, concat("'", text, "'"));
  }
}

class Measures : public ::testing::Test {
 protected:
  ThreadPool pool{2};
  Arena arena;
  Context ctx{.pool = pool, .arena = arena};
};

void expect_complete(const MeasureReport& report) {
  const Json json = report_json(report);
  ASSERT_FALSE(json.at("results").as_array().empty());
  for (const Json& row : json.at("results").as_array()) {
    EXPECT_GT(row.at("value").as_number(), 0) << row.dump();
    EXPECT_FALSE(row.at("name").as_string().empty());
    EXPECT_FALSE(row.at("unit").as_string().empty());
    if (row.at("roof").is_null()) {
      EXPECT_TRUE(row.at("fraction_of_roof").is_null());
    } else {
      EXPECT_DOUBLE_EQ(row.at("fraction_of_roof").as_number(),
                       row.at("value").as_number() / row.at("roof").as_number());
    }
  }
  EXPECT_NE(report_table(report).find(report.results.front().name), std::string::npos);
}

TEST_F(Measures, Gemm) {
  expect_complete(measure_gemm(
      ctx, {.shapes = {GemmShape::parse("4x16x8"), GemmShape::parse("3x2x16x8")}, .rounds = 1}));
}

// Ten seconds of two threads: eight in regions, of which both work six, one alone two.
TEST(Trace, SharesOfTheTime) {
  const PoolTrace::Place place{CallPlace::here(), 20, 160, 4, 6, 1};
  MeasureReport report;
  add_trace(report.details,
            {.regions = 30,
             .parts = 240,
             .seconds = 10,
             .region_seconds = 8,
             .busy = {8, 6},
             .places = {place}},
            3, "token");
  const Json& details = report.details;
  EXPECT_DOUBLE_EQ(details.at("regions_per_token").as_number(), 10);
  EXPECT_DOUBLE_EQ(details.at("parts_per_token").as_number(), 80);
  EXPECT_DOUBLE_EQ(details.at("in_regions").as_number(), 0.8);
  // 20 thread-seconds: two of the caller alone, fourteen in parts
  EXPECT_NEAR(details.at("idle").as_number(), 0.2, 1e-12);
  EXPECT_DOUBLE_EQ(details.at("busy").as_array()[1].as_number(), 0.6);
  // 20 regions in four seconds, after one; six seconds' work of two threads
  const Json& row = details.at("places").as_array()[0];
  EXPECT_DOUBLE_EQ(row.at("us").as_number(), 200'000);
  EXPECT_DOUBLE_EQ(row.at("us_before").as_number(), 50'000);
  EXPECT_DOUBLE_EQ(row.at("busy").as_number(), 0.75);
  const std::string where = concat("measure_test.cc:", place.where.line);
  EXPECT_EQ(row.at("where").as_string(), where);
  EXPECT_NE(report_table(report).find(where), std::string::npos);
}

TEST_F(Measures, TrainingLearnsTheBatchItIsGiven) {
  MeasureTrainOptions options{.model = training_peer_shape(), .batch = 2, .seq = 16, .steps = 4};
  options.model.vocab_size = 64;
  options.model.n_layers = 2;
  const MeasureReport report = measure_train(ctx, options);
  expect_complete(report);
  EXPECT_GT(report.details.at("regions_per_step").as_number(), 10);  // many ops, two threads
  EXPECT_GE(report.details.at("parts_per_step").as_number(),
            report.details.at("regions_per_step").as_number());
  const Json::Array& loss = report.details.at("loss").as_array();
  EXPECT_LT(loss[1].as_number(), loss[0].as_number());
  options.steps = 1;
  EXPECT_EQ(test::refusal_of([&] { measure_train(ctx, options); }).field, "steps");
}

TEST_F(Measures, PrefillAndDecode) {
  ModelConfig shape = training_peer_shape();
  shape.vocab_size = 64;
  shape.n_layers = 2;
  DeepseekV3 model = make_model(shape, arena);
  initialise_weights(model, arena, 1);
  MeasureInferOptions options{.prompt_tokens = 8, .decode_tokens = 4, .rounds = 1};
  expect_complete(measure_prefill(ctx, model, options));
  expect_complete(measure_decode(ctx, model, options));
  options.draft_tokens = 1;  // no MTP module here
  const Refusal why = test::refusal_of([&] { measure_decode(ctx, model, options); });
  EXPECT_EQ(why.field, "draft_tokens");
  EXPECT_EQ(why.expected, "0 to 0");
  options.draft_tokens = 0;
  options.batch = 3;
  const MeasureReport together = measure_decode(ctx, model, options);
  expect_complete(together);
  EXPECT_EQ(together.details.at("tokens_per_step").as_number(), 3);
  const MeasureReport mixed = measure_mixed(
      ctx, model,
      {.batch = 2, .prompt_tokens = 40, .decode_tokens = 4, .chunk_beside_decoding = 8});
  expect_complete(mixed);
}

TEST_F(Measures, SpeculationStandsBesideWhatTheBytesPredict) {
  ModelConfig shape = test::odd_config();
  DeepseekV3 model = make_model(shape, arena);
  initialise_weights(model, arena, 1);
  const MeasureReport report = measure_decode(
      ctx, model, {.prompt_tokens = 8, .decode_tokens = 12, .draft_tokens = 1, .rounds = 1});
  expect_complete(report);
  EXPECT_EQ(report.results.back().name, "speculation gain");
  EXPECT_GT(report.results.back().roof, 0);
  EXPECT_GT(report.details.at("expert_overlap").as_number(), 0);
}

}  // namespace
}  // namespace hadal
