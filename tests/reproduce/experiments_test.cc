// The experiments themselves, at the size of a smoke test: what must hold at any size.
#include "hadal/reproduce/experiment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "hadal/reproduce/rounded_tiles.h"
#include "tests/support/refusal.h"

namespace hadal {
namespace {

Outcome measured(const std::string& name, const std::string& variant, int64_t seed = 0) {
  ThreadPool pool(1);
  Arena arena;
  Context ctx{pool, arena};
  Outcome outcome{.variant = variant, .seed = seed};
  find_experiment(name).measure(
      ctx, Trial{.variant = variant, .seed = seed, .run = nullptr, .quick = true}, outcome);
  return outcome;
}

TEST(Experiments, NamesOfVariantsAndFiguresAgree) {
  std::set<std::string> names;
  for (const Experiment& e : experiments()) {
    EXPECT_TRUE(names.insert(e.name).second) << e.name;
    EXPECT_GE(e.variants.size(), 2U) << e.name;
    EXPECT_FALSE(e.claims.empty()) << e.name;
    EXPECT_EQ(e.default_tokens > 0, e.training != nullptr) << e.name;
    const auto known = [&](const std::string& variant) {
      return std::count(e.variants.begin(), e.variants.end(), variant) == 1;
    };
    for (const Claim& claim : e.claims) {
      EXPECT_TRUE(known(claim.variant) && known(claim.baseline)) << e.name << ": " << claim.text;
      EXPECT_TRUE(
          std::any_of(e.figures.begin(), e.figures.end(),
                      [&](const FigureInfo& figure) { return figure.name == claim.figure; }))
          << e.name << ": " << claim.figure;
    }
  }
  EXPECT_EQ(test::refusal_of([] { find_experiment("mpt"); }).field, "experiment");
}

// A variant trains what it says, and two variants of one experiment that trains them differ.
TEST(Experiments, VariantsTrainDifferentThings) {
  Effort effort;
  effort.tokens = 1'000'000;
  effort.text = {"texts"};
  for (const Experiment& e : experiments()) {
    if (!e.training) continue;
    std::set<std::string> settings;
    for (const std::string& variant : e.variants) {
      TrainConfig config = e.training(effort, variant);
      config.train.out = "run";
      config.validate();
      const Json* vocab = config.model.overrides.find("vocab_size");
      EXPECT_NO_THROW(model_shape(config, vocab ? vocab->as_integer() : 1024))
          << e.name << ": " << variant;
      // Half a micro-batch is another order of summation.
      EXPECT_EQ(config.train.micro_batch_sequences % 2, 0);
      settings.insert(resolved_toml(config));
    }
    EXPECT_EQ(settings.size(), e.trains_variants ? e.variants.size() : 1U) << e.name;
  }
}

// Otherwise one of the two would win by size: the routers' own rows are all that differs.
TEST(Experiments, GranularityComparesModelsOfOneSize) {
  Effort effort;
  effort.tokens = 1'000'000;
  const Experiment& e = find_experiment("granularity");
  std::vector<ParameterCount> counts;
  for (const std::string& variant : e.variants) {
    const ModelConfig shape = model_shape(e.training(effort, variant), 0);
    ParameterCount count = count_parameters(shape);
    int64_t routers = 0;
    for (int64_t layer = 0; layer < shape.n_layers; ++layer) {
      if (!shape.is_moe(layer)) continue;
      routers += shape.router.n_routed_experts * (shape.d_model + 1);  // and their biases
    }
    count.total -= routers;
    count.active -= routers;
    counts.push_back(count);
  }
  EXPECT_EQ(counts[0].total, counts[1].total);
  EXPECT_EQ(counts[0].active, counts[1].active);
}

TEST(Accumulation, PromotionMakesLongSumsExactAgain) {
  for (const int64_t seed : {0, 1}) {
    const Outcome with = measured("accumulation", "promoted every 128", seed);
    const Outcome without = measured("accumulation", "not promoted", seed);
    EXPECT_LT(with.figures.at("one_sign"), 0.1);     // %
    EXPECT_GT(without.figures.at("one_sign"), 2.0);  // the report's figure, or worse
    EXPECT_LT(with.figures.at("both_signs"), without.figures.at("both_signs"));
    // A sum of one group has nothing to promote.
    EXPECT_EQ(with.curves.at("both_signs").y.front(), without.curves.at("both_signs").y.front());
  }
}

TEST(ZeroAndTiny, OnlyATilePaysForItsOutlier) {
  const Outcome tiles = measured("zero-and-tiny", "1x128 tiles");
  const Outcome one = measured("zero-and-tiny", "one scale per tensor");
  const Outcome floor = measured("zero-and-tiny", "1x128 tiles, amax at least 1e-4");
  EXPECT_EQ(tiles.figures.at("moved"), 0.0);
  EXPECT_GT(one.figures.at("moved"), 10.0);
  EXPECT_EQ(tiles.figures.at("zeros"), 0.0);
  EXPECT_LT(tiles.figures.at("tiny"), 4.0);  // % : three bits of mantissa
  EXPECT_GT(floor.figures.at("tiny"), tiles.figures.at("tiny"));
  EXPECT_EQ(one.figures.at("tiny"), 100.0);  // all of it is gone
}

}  // namespace
}  // namespace hadal
