// The two forms of attention are the same function, and absorbed rows do not feel their neighbours.
#include "hadal/infer/absorbed_mla.h"

#include "gtest/gtest.h"
#include "hadal/infer/prefill_mla.h"
#include "tests/support/random_model.h"
#include "tests/support/compare.h"

namespace hadal {
namespace {

using test::elements;
using test::odd_config;
using test::RandomModel;

struct Case {
  const char* name;
  ModelConfig config;
};

std::vector<Case> cases() {
  std::vector<Case> result = {{"QueryLatentAndYarn", odd_config()}};
  result.push_back({"NoQueryLatent", odd_config()});
  result.back().config.q_lora_rank = 0;
  result.push_back({"NoYarn", odd_config()});
  result.back().config.yarn.reset();
  result.push_back({"OneHeadWideLatent", odd_config()});
  result.back().config.n_heads = 1;
  result.back().config.kv_lora_rank = 67;
  result.push_back({"ManyHeadsWideValue", odd_config()});
  result.back().config.n_heads = 7;
  result.back().config.v_head_dim = 33;
  result.back().config.qk_nope_head_dim = 16;
  result.push_back({"YarnTwoScales", odd_config()});
  result.back().config.yarn->mscale = 0.8;
  result.back().config.yarn->mscale_all_dim = 0.5;
  return result;
}

class AbsorbedMlaTest : public testing::TestWithParam<Case> {
 protected:
  AbsorbedMlaTest() : random_(GetParam().config), mla_(random_.model.layers[1].attn) {}

  LatentRows cache_of(int64_t n_past) {  // behind `n_past` rows
    LatentRows cache(128, GetParam().config.kv_lora_rank + GetParam().config.qk_rope_head_dim);
    if (n_past > 0) {
      prefill_mla(random_.ctx, mla_, rows(n_past, 1), random_.model.rope, cache);
    }
    return cache;
  }
  Tensor rows(int64_t n, uint64_t seed) {
    return random_.random_rows(n, GetParam().config.d_model, seed);
  }

  RandomModel random_;
  const Mla& mla_;
};

TEST_P(AbsorbedMlaTest, AgreesWithTheMhaForm) {
  for (const int64_t n_past : {0, 1, 5, 70}) {
    for (const int64_t n_rows : {1, 2, 3, 4, 21}) {
      const Tensor x = rows(n_rows, 2);
      LatentRows cache_a = cache_of(n_past), cache_b = cache_of(n_past);
      const Tensor mha = prefill_mla(random_.ctx, mla_, x, random_.model.rope, cache_a);
      const Tensor absorbed = absorbed_mla(random_.ctx, mla_, x, random_.model.rope, cache_b);
      // Every output is a sum over heads and values of sums over rows of sums over the latent; the
      // two forms differ in their order. The longest chain bounds the rounding.
      const int64_t n_terms =
          mla_.kv_lora_rank + n_past + n_rows + mla_.dims.n_heads * mla_.dims.d_v;
      test::expect_close(absorbed, mha, test::Tolerance::for_sum(n_terms), "u");
      EXPECT_EQ(elements(cache_a.rows()), elements(cache_b.rows())) << "the same rows are cached";
      EXPECT_EQ(cache_b.length(), n_past + n_rows);
    }
  }
}

TEST_P(AbsorbedMlaTest, RowsTogetherAreRowsAloneBitForBit) {
  for (const int64_t n_past : {0, 3, 64, 90}) {
    const Tensor x = rows(8, 3);
    LatentRows together = cache_of(n_past), alone = cache_of(n_past);
    const Tensor u = absorbed_mla(random_.ctx, mla_, x, random_.model.rope, together);
    for (int64_t t = 0; t < x.dim(0); ++t) {
      Tensor one = random_.ctx.empty({1, x.dim(1)});
      std::ranges::copy(x.mat().row(t), one.flat<float>().begin());
      const Tensor u_one = absorbed_mla(random_.ctx, mla_, one, random_.model.rope, alone);
      EXPECT_EQ(elements(u.mat().rows(t, t + 1)), elements(u_one.mat())) << "row " << t;
    }
  }
}

TEST_P(AbsorbedMlaTest, ForgottenRowsLeaveNoTrace) {
  LatentRows cache = cache_of(9), clean = cache_of(9);
  absorbed_mla(random_.ctx, mla_, rows(3, 4), random_.model.rope, cache);
  cache.truncate(9);
  const Tensor x = rows(2, 5);
  const Tensor after = absorbed_mla(random_.ctx, mla_, x, random_.model.rope, cache);
  const Tensor want = absorbed_mla(random_.ctx, mla_, x, random_.model.rope, clean);
  EXPECT_EQ(elements(after.mat()), elements(want.mat()));
}

INSTANTIATE_TEST_SUITE_P(Shapes, AbsorbedMlaTest, testing::ValuesIn(cases()),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(LatentRows, RefusesRowsThatDoNotFit) {
  RandomModel random(odd_config());
  LatentRows cache(4, 3);
  cache.append(random.random_rows(3, 3, 1).mat());
  EXPECT_THROW(cache.append(random.random_rows(2, 3, 1).mat()), ShapeError);
  EXPECT_THROW(cache.append(random.random_rows(1, 4, 1).mat()), ShapeError);
  EXPECT_EQ(cache.length(), 3);
}

TEST(LatentKvCache, AnotherLongContextCostsAddressesNotMemory) {
  ModelConfig v3;  // 61 layers, 163840 positions: 23 GB if every row were filled
  LatentKvCache cache(v3, v3.max_position_embeddings, v3.n_mtp);
  EXPECT_EQ(cache.capacity(), 163840);
  EXPECT_EQ(LatentKvCache::bytes_per_token(v3, 1), 62 * 576 * 4);
}

}  // namespace
}  // namespace hadal
