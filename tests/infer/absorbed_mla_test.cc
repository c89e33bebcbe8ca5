// The two forms of attention are the same function, and absorbed rows do not feel their neighbours.
#include "hadal/infer/mixed_mla.h"

#include "gtest/gtest.h"
#include "tests/infer/one_sequence.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"

namespace hadal {
namespace {

using test::elements;
using test::odd_config;
using test::OneSequence;
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
  AbsorbedMlaTest() : random_(GetParam().config), mla_(random_.model.layers[kLayer].attn) {}

  // A sequence behind `n_past` rows of the layer.
  struct Past : OneSequence {
    Past(AbsorbedMlaTest& test, int64_t n_past) : OneSequence(GetParam().config, 128, 0) {
      if (n_past > 0) test.prefill(test.rows(n_past, 1), sequence);
    }
  };
  Tensor prefill(const Tensor& x, LatentSequence& sequence) {
    const BatchShare all{&sequence, x.dim(0)};
    return mixed_mla(random_.ctx, mla_, kLayer, x, random_.model.rope, {}, {&all, 1});
  }
  Tensor absorbed(const Tensor& x, std::vector<BatchShare> batch) {
    return mixed_mla(random_.ctx, mla_, kLayer, x, random_.model.rope, batch, {});
  }
  Tensor absorbed(const Tensor& x, LatentSequence& sequence) {
    return absorbed(x, {{&sequence, x.dim(0)}});
  }
  Tensor rows(int64_t n, uint64_t seed) {
    return random_.random_rows(n, GetParam().config.d_model, seed);
  }

  static constexpr int64_t kLayer = 1;
  RandomModel random_;
  const Mla& mla_;
};

TEST_P(AbsorbedMlaTest, AgreesWithTheMhaForm) {
  for (const int64_t n_past : {0, 1, 5, 70}) {
    for (const int64_t n_rows : {1, 2, 3, 4, 21}) {
      const Tensor x = rows(n_rows, 2);
      Past a(*this, n_past), b(*this, n_past);
      const Tensor mha = prefill(x, a.sequence), u = absorbed(x, b.sequence);
      // Every output is a sum over heads and values of sums over rows of sums over the latent; the
      // two forms differ in their order. The longest chain bounds the rounding.
      const int64_t n_terms =
          mla_.kv_lora_rank + n_past + n_rows + mla_.dims.n_heads * mla_.dims.d_v;
      test::expect_close(u, mha, test::Tolerance::for_sum(n_terms), "u");
      EXPECT_EQ(elements(a.rows(random_.ctx, kLayer).mat()),
                elements(b.rows(random_.ctx, kLayer).mat()))
          << "the same rows are cached";
      EXPECT_EQ(b.sequence.length(kLayer), n_past + n_rows);
    }
  }
}

TEST_P(AbsorbedMlaTest, RowsTogetherAreRowsAloneBitForBit) {
  for (const int64_t n_past : {0, 3, 64, 90}) {
    const Tensor x = rows(8, 3);
    Past together(*this, n_past), alone(*this, n_past);
    const Tensor u = absorbed(x, together.sequence);
    for (int64_t t = 0; t < x.dim(0); ++t) {
      Tensor one = random_.ctx.empty({1, x.dim(1)});
      std::ranges::copy(x.mat().row(t), one.flat<float>().begin());
      const Tensor u_one = absorbed(one, alone.sequence);
      EXPECT_EQ(elements(u.mat().rows(t, t + 1)), elements(u_one.mat())) << "row " << t;
    }
  }
}

TEST_P(AbsorbedMlaTest, ForgottenRowsLeaveNoTrace) {
  Past cut(*this, 9), clean(*this, 9);
  absorbed(rows(3, 4), cut.sequence);
  cut.sequence.truncate(kLayer, 9);
  const Tensor x = rows(2, 5);
  EXPECT_EQ(elements(absorbed(x, cut.sequence).mat()), elements(absorbed(x, clean.sequence).mat()));
}

// Two sequences that took pages in turn, so that neither lies in one piece, and an empty one.
TEST_P(AbsorbedMlaTest, SequencesTogetherAreSequencesAloneBitForBit) {
  LatentPages pages(GetParam().config, 7, 0, LatentForm::kF32);
  LatentSequence a(pages), b(pages), c(pages);
  Past a_alone(*this, 0), b_alone(*this, 0), c_alone(*this, 0);
  for (const int64_t length : {40, 70, 125}) {
    for (const auto& [shared, alone] : {std::pair(&a, &a_alone), std::pair(&b, &b_alone)}) {
      ASSERT_TRUE(shared->reserve(length));
      const int64_t n = length - shared->length(kLayer);
      const Tensor latents = random_.random_rows(n, pages.layout().d_row(),
                                                 static_cast<uint64_t>(length + (shared == &a)));
      shared->append(random_.ctx, kLayer, latents.mat());
      alone->sequence.append(random_.ctx, kLayer, latents.mat());
    }
  }
  ASSERT_TRUE(a.reserve(128) && b.reserve(126) && c.reserve(2));

  const Tensor x = rows(6, 9), u = absorbed(x, {{&a, 3}, {&b, 1}, {&c, 2}});
  const auto part = [&](int64_t begin, int64_t end, OneSequence& alone) {
    Tensor own = random_.ctx.empty({end - begin, x.dim(1)});
    std::ranges::copy(elements(x.mat().rows(begin, end)), own.flat<float>().begin());
    EXPECT_EQ(elements(u.mat().rows(begin, end)), elements(absorbed(own, alone.sequence).mat()))
        << "rows from " << begin;
  };
  part(0, 3, a_alone);
  part(3, 4, b_alone);
  part(4, 6, c_alone);
}

// A prompt may be read in any pieces, and beside anybody's tokens.
TEST_P(AbsorbedMlaTest, FormsInOnePassAreFormsAloneBitForBit) {
  const Tensor x = rows(60, 11);
  const auto part = [&](int64_t begin, int64_t end) {
    Tensor own = random_.ctx.empty({end - begin, x.dim(1)});
    std::ranges::copy(elements(x.mat().rows(begin, end)), own.flat<float>().begin());
    return own;
  };
  Past decoding(*this, 70), reading(*this, 5), short_one(*this, 0);
  const std::vector<BatchShare> absorbed_shares = {{&decoding.sequence, 3}};
  const std::vector<BatchShare> prefill_shares = {{&reading.sequence, 50},
                                                  {&short_one.sequence, 7}};
  const Tensor u =
      mixed_mla(random_.ctx, mla_, kLayer, x, random_.model.rope, absorbed_shares, prefill_shares);
  Past decoding_alone(*this, 70), reading_alone(*this, 5), short_alone(*this, 0);
  EXPECT_EQ(elements(u.mat().rows(0, 3)),
            elements(absorbed(part(0, 3), decoding_alone.sequence).mat()));
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{3, 4}, {4, 20}, {20, 53}}) {
    EXPECT_EQ(elements(u.mat().rows(begin, end)),
              elements(prefill(part(begin, end), reading_alone.sequence).mat()))
        << "rows from " << begin;
  }
  EXPECT_EQ(elements(u.mat().rows(53, 60)),
            elements(prefill(part(53, 60), short_alone.sequence).mat()));
}

INSTANTIATE_TEST_SUITE_P(Shapes, AbsorbedMlaTest, testing::ValuesIn(cases()),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

}  // namespace
}  // namespace hadal
