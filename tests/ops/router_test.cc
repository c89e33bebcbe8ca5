#include "hadal/ops/router.h"

#include <numeric>

#include "hadal/kernels/router.h"
#include "tests/ops/golden_units.h"
#include "tests/ops/op_test.h"

namespace hadal::test {
namespace {

struct Routed {
  std::vector<int32_t> indices;
  std::vector<float> gates, scores;
  int64_t T, K, E;
  View<const int32_t, 2> indices_view() const { return {indices.data(), {T, K}}; }
  View<const float, 2> scores_view() const { return {scores.data(), {T, E}}; }
};

Routed route(Context& ctx, const std::vector<float>& logits, const std::vector<float>& bias,
             const RouterConfig& config) {
  const int64_t E = config.n_routed_experts, T = static_cast<int64_t>(logits.size()) / E;
  Routed r{std::vector<int32_t>(static_cast<size_t>(T * config.top_k)),
           std::vector<float>(static_cast<size_t>(T * config.top_k)),
           std::vector<float>(logits.size()),
           T,
           config.top_k,
           E};
  route_forward(ctx, {r.indices.data(), {T, r.K}}, {r.gates.data(), {T, r.K}},
                {r.scores.data(), {T, E}}, {logits.data(), {T, E}}, vector_view(bias), config);
  return r;
}

// What dlogits of a token is a difference of: a gradient g for each score, from its own and from
// the gates (twice where they are normalised), and softmax takes the mean of all g away.
std::vector<double> dlogits_terms(const Routed& r, const std::vector<float>& dscores,
                                  const std::vector<float>& dgates, const RouterConfig& config) {
  std::vector<double> terms;
  for (int64_t t = 0; t < r.T; ++t) {
    double score = 0.0, dscore = 0.0, dgate = 0.0, chosen = 0.0;
    for (int64_t e = 0; e < r.E; ++e) {
      const auto at = static_cast<size_t>(t * r.E + e);
      score = std::max(score, std::abs(double{r.scores[at]}));
      dscore = std::max(dscore, std::abs(double{dscores[at]}));
    }
    for (int64_t k = 0; k < r.K; ++k) {
      dgate = std::max(dgate, std::abs(double{dgates[static_cast<size_t>(t * r.K + k)]}));
      chosen += r.scores_view()(t, r.indices_view()(t, k));
    }
    dgate *= config.routed_scaling_factor;
    if (config.norm_topk_prob) dgate *= 2.0 / chosen;
    terms.push_back(2.0 * score * (dscore + dgate));
  }
  return terms;
}

std::vector<float> as_floats(const std::vector<int32_t>& values) {
  return {values.begin(), values.end()};
}

class RouterGolden : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Units, RouterGolden, ::testing::Values("v3", "negative", "unnormalised"));

TEST_P(RouterGolden, ChoiceGatesLoadAndBalanceLoss) {
  const GoldenUnits golden;
  const Json& unit = golden.settings().at("router").at(GetParam());
  const RouterConfig config{
      .n_routed_experts = unit.at("n_routed_experts").as_integer(),
      .top_k = unit.at("num_experts_per_tok").as_integer(),
      .n_group = unit.at("n_group").as_integer(),
      .topk_group = unit.at("topk_group").as_integer(),
      .norm_topk_prob = unit.at("norm_topk_prob").as_bool(),
      .routed_scaling_factor = static_cast<float>(unit.at("routed_scaling_factor").as_number())};
  const std::string prefix = std::string("router.") + GetParam() + ".";
  for (const Device device : all_devices()) {
    Machine machine(device, 3);
    const Routed r =
        route(machine.ctx(), golden.f32(prefix + "logits"), golden.f32(prefix + "bias"), config);
    EXPECT_EQ(r.indices, golden.values<int32_t>(prefix + "indices"));
    expect_close(r.gates, golden.f32(prefix + "gates"),
                 {.element = 1e-6, .frobenius = 1e-6, .cosine = 0, .row_length = 1}, "gates");
    std::vector<int32_t> load(static_cast<size_t>(r.E));
    for (const int32_t e : r.indices) ++load[static_cast<size_t>(e)];
    EXPECT_EQ(load, golden.values<int32_t>(prefix + "load"));
    const double loss = sequence_balance_loss(machine.ctx(), {}, r.scores_view(), r.indices_view(),
                                              Sequences::equal(2, 16), 1.0F, 1.0F,
                                              BalanceCount::kUnbiasedTopK, config);
    EXPECT_NEAR(loss, unit.at("balance_loss_2_sequences_of_16").as_number(), 1e-6);
  }
}

const RouterConfig kConfigs[] = {
    {},  // DeepSeek-V3
    {.n_routed_experts = 160,
     .top_k = 6,
     .n_group = 8,
     .topk_group = 3,
     .scoring = ScoringFunction::kSoftmax,
     .method = TopkMethod::kGroupLimitedGreedy,
     .norm_topk_prob = false,
     .routed_scaling_factor = 16.0F},  // V2
    {.n_routed_experts = 64,
     .top_k = 6,
     .n_group = 1,
     .topk_group = 1,
     .scoring = ScoringFunction::kSoftmax,
     .method = TopkMethod::kGreedy,
     .norm_topk_prob = false,
     .routed_scaling_factor = 1.0F},                                     // V2-Lite
    {.n_routed_experts = 3, .top_k = 2, .n_group = 3, .topk_group = 2},  // groups of one
    {.n_routed_experts = 1, .top_k = 1, .n_group = 1, .topk_group = 1},
    {.n_routed_experts = 5,
     .top_k = 5,
     .n_group = 1,
     .topk_group = 1,
     .scoring = ScoringFunction::kSoftmax,
     .norm_topk_prob = true},  // everybody chosen
    {.n_routed_experts = 2400,
     .top_k = 40,
     .n_group = 60,
     .topk_group = 33},  // more than a warp of each
};

TEST(Router, BackendsAgree) {
  for (const RouterConfig& config : kConfigs) {
    for (const int64_t T : {0, 1, 7, 300}) {
      const int64_t E = config.n_routed_experts, K = config.top_k;
      if (T * E > 200000) continue;
      // Coarse logits: many exact ties, which must go to the lower id everywhere.
      std::vector<float> logits = random_values(T * E, 1, 2.0), bias = random_values(E, 2, 0.1);
      for (float& value : logits) value = std::round(value * 4) / 4;
      for (float& value : bias) value = std::round(value * 8) / 8;
      const Sequences sequences{{0, T / 3, T / 3, T}};
      expect_backends_agree(
          [&](Context& ctx) -> Outputs {
            const Routed r = route(ctx, logits, bias, config);
            const std::vector<float> dgates = random_values(T * K, 3);
            std::vector<float> dscores = random_values(T * E, 4), dlogits(dscores.size());
            const float loss = static_cast<float>(sequence_balance_loss(
                ctx, {dscores.data(), {T, E}}, r.scores_view(), r.indices_view(), sequences, 0.5F,
                2.0F, BalanceCount::kChosen, config));
            const auto unbiased = static_cast<float>(
                sequence_balance_loss(ctx, {}, r.scores_view(), r.indices_view(), sequences, 0.5F,
                                      1.0F, BalanceCount::kUnbiasedTopK, config));
            route_backward(ctx, {dlogits.data(), {T, E}}, {dgates.data(), {T, K}},
                           {dscores.data(), {T, E}}, r.scores_view(), r.indices_view(), config);
            return {{as_floats(r.indices), K},
                    {r.gates, K},
                    {r.scores, E},
                    {{loss}, 1},
                    {{unbiased}, 1},
                    {dscores, E},
                    {dlogits, E, dlogits_terms(r, dscores, dgates, config)}};
          },
          Tolerance::for_sum(16), concat("E ", E, " T ", T));
    }
  }
}

class RouterOn : public ::testing::TestWithParam<Device> {};
INSTANTIATE_TEST_SUITE_P(Backends, RouterOn, ::testing::ValuesIn(all_devices()));

TEST_P(RouterOn, WeightsSumToTheScalingFactor) {
  Machine machine(GetParam());
  const RouterConfig config;
  const Routed r =
      route(machine.ctx(), random_values(50 * 256, 1, 3.0), random_values(256, 2, 0.2), config);
  for (size_t t = 0; t < 50; ++t) {
    EXPECT_NEAR(std::accumulate(r.gates.begin() + static_cast<std::ptrdiff_t>(t * 8),
                                r.gates.begin() + static_cast<std::ptrdiff_t>(t * 8 + 8), 0.0),
                2.5, 1e-5);
  }
}

TEST_P(RouterOn, AtMostTopkGroupGroupsAndAscendingIds) {
  Machine machine(GetParam());
  const RouterConfig config;
  const Routed r =
      route(machine.ctx(), random_values(50 * 256, 1, 3.0), random_values(256, 2, 0.2), config);
  for (int64_t t = 0; t < r.T; ++t) {
    std::vector<int32_t> groups;
    for (int64_t k = 0; k < r.K; ++k) {
      const int32_t e = r.indices_view()(t, k);
      if (k > 0) {
        EXPECT_LT(r.indices_view()(t, k - 1), e);
      }
      if (groups.empty() || groups.back() != e / 32) groups.push_back(e / 32);
    }
    EXPECT_LE(groups.size(), 4U);
  }
}

TEST(Router, ExcludedGroupsCountAsMinusInfinity) {
  // All choices are negative; group 0 wins, and its second expert must be chosen although 0, the
  // value that a careless mask writes, would be larger.
  const RouterConfig config{.n_routed_experts = 4, .top_k = 2, .n_group = 2, .topk_group = 1};
  for (const Device device : all_devices()) {
    Machine machine(device);
    const Routed r = route(machine.ctx(), {2, 1, 0, 0}, {-2, -2, -2, -2}, config);
    EXPECT_EQ(r.indices, (std::vector<int32_t>{0, 1}));
  }
}

TEST(Router, TiesGoToTheLowerId) {
  const RouterConfig config{.n_routed_experts = 8, .top_k = 3, .n_group = 4, .topk_group = 2};
  for (const Device device : all_devices()) {
    Machine machine(device);
    const Routed r =
        route(machine.ctx(), std::vector<float>(8, 0.5F), std::vector<float>(8), config);
    EXPECT_EQ(r.indices, (std::vector<int32_t>{0, 1, 2}));
  }
}

TEST_P(RouterOn, BiasChoosesButDoesNotWeigh) {
  const RouterConfig config{.n_routed_experts = 3,
                            .top_k = 2,
                            .n_group = 1,
                            .topk_group = 1,
                            .norm_topk_prob = false,
                            .routed_scaling_factor = 1.0F};
  Machine machine(GetParam());
  const Routed r = route(machine.ctx(), {0, 0, 0}, {0, 0.5F, 0.5F}, config);
  EXPECT_EQ(r.indices, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(r.gates, (std::vector<float>{0.5F, 0.5F}));
}

TEST(Router, NanLogitsStillChooseDifferentExperts) {
  // A diverging model must reach the check that stops it, not run off an array.
  for (const RouterConfig& config : kConfigs) {
    for (const Device device : all_devices()) {
      Machine machine(device);
      const size_t E = static_cast<size_t>(config.n_routed_experts);
      const Routed r =
          route(machine.ctx(), std::vector<float>(E, NAN), std::vector<float>(E), config);
      for (size_t k = 0; k < r.indices.size(); ++k) {
        EXPECT_TRUE(r.indices[k] >= 0 && r.indices[k] < config.n_routed_experts);
        if (k > 0) {
          EXPECT_LT(r.indices[k - 1], r.indices[k]);
        }
      }
    }
  }
}

TEST_P(RouterOn, NumbersBeatNan) {
  const RouterConfig config{.n_routed_experts = 6, .top_k = 3, .n_group = 1, .topk_group = 1};
  Machine machine(GetParam());
  const Routed r = route(machine.ctx(), {NAN, -9, NAN, 1, NAN, NAN}, std::vector<float>(6), config);
  EXPECT_EQ(r.indices, (std::vector<int32_t>{0, 1, 3}));
}

TEST(Router, RefusesSettingsThatDoNotFit) {
  Machine machine(Device::kCpu);
  const std::vector<float> logits(8), bias(8);
  for (const RouterConfig& config :
       {RouterConfig{.n_routed_experts = 8, .top_k = 3, .n_group = 4, .topk_group = 1},
        RouterConfig{.n_routed_experts = 8, .top_k = 2, .n_group = 3, .topk_group = 1},
        RouterConfig{.n_routed_experts = 8, .top_k = 9, .n_group = 1, .topk_group = 1},
        RouterConfig{.n_routed_experts = 8, .top_k = 1, .n_group = 2, .topk_group = 3}}) {
    EXPECT_THROW(route(machine.ctx(), logits, bias, config), ShapeError);
  }
}

// Gates as a function of the logits with the choice held fixed, in f64, against route_backward;
// softmax and sigmoid, normalised or not, with a gradient that arrives at the scores directly.
TEST(Router, GradientsMatchDifferences) {
  const int64_t T = 3, E = 6, K = 3;
  const std::vector<int32_t> chosen = {0, 2, 5, 1, 2, 3, 0, 1, 4};
  const View<const int32_t, 2> indices(chosen.data(), {T, K});
  const std::vector<double> dgates = random_values<double>(T * K, 1);
  const std::vector<double> dscores = random_values<double>(T * E, 2);
  for (const ScoringFunction scoring : {ScoringFunction::kSigmoid, ScoringFunction::kSoftmax}) {
    for (const bool norm : {true, false}) {
      const RouterConfig config{.n_routed_experts = E,
                                .top_k = K,
                                .n_group = 1,
                                .topk_group = 1,
                                .scoring = scoring,
                                .norm_topk_prob = norm};
      std::vector<double> logits = random_values<double>(T * E, 3), scores(logits.size());
      std::vector<double> gates(dgates.size()), dlogits(logits.size());
      const auto loss = [&] {
        reference::router_scores<double>({scores.data(), {T, E}}, {logits.data(), {T, E}}, scoring);
        reference::router_gates<double>({gates.data(), {T, K}}, {scores.data(), {T, E}}, indices,
                                        config);
        return weighted_sum(gates, dgates) + weighted_sum(scores, dscores);
      };
      loss();
      reference::route_backward<double>({dlogits.data(), {T, E}}, {dgates.data(), {T, K}},
                                        {dscores.data(), {T, E}}, {scores.data(), {T, E}}, indices,
                                        config);
      expect_gradient(logits, loss, dlogits, norm ? "normalised" : "plain");
    }
  }
}

TEST(BalanceLoss, GradientMatchesDifferences) {
  const int64_t T = 7, E = 5, K = 2;
  const std::vector<int64_t> offsets = {0, 3, 7};
  // f_i depends on the order of the scores: keep them well apart so that a step does not change it.
  std::vector<double> scores = random_values<double>(T * E, 1, 0.2);
  for (double& s : scores) s = 0.5 + std::clamp(s, -0.45, 0.45);
  std::vector<double> dscores(scores.size());
  const std::vector<int32_t> chosen(static_cast<size_t>(T * K), 0);
  const View<const int32_t, 2> indices(chosen.data(), {T, K});
  for (const BalanceCount count : {BalanceCount::kUnbiasedTopK, BalanceCount::kChosen}) {
    std::fill(dscores.begin(), dscores.end(), 0.0);
    const auto loss_into = [&](double* gradient) {
      return reference::sequence_balance_loss<double>({gradient, {T, E}}, {scores.data(), {T, E}},
                                                      indices, offsets, 0.3, 2.0, count, K);
    };
    loss_into(dscores.data());
    expect_gradient(
        scores, [&] { return 2.0 * loss_into(nullptr); }, dscores, "dscores");
  }
}

TEST_P(RouterOn, PerfectBalanceCostsAlpha) {
  // Four tokens, each with another favourite of four: f_i = 1, sum f P = 1.
  const int64_t T = 4, E = 4;
  std::vector<float> scores(static_cast<size_t>(T * E), 0.1F);
  std::vector<int32_t> indices;
  for (size_t t = 0; t < 4; ++t) {
    scores[t * 4 + t] = 0.9F;
    indices.push_back(static_cast<int32_t>(t));
  }
  Machine machine(GetParam());
  const RouterConfig config{.n_routed_experts = E, .top_k = 1, .n_group = 1, .topk_group = 1};
  EXPECT_NEAR(
      sequence_balance_loss(machine.ctx(), {}, {scores.data(), {T, E}}, {indices.data(), {T, 1}},
                            Sequences::equal(1, T), 0.02F, 1.0F, BalanceCount::kChosen, config),
      0.02, 1e-8);
}

}  // namespace
}  // namespace hadal::test
