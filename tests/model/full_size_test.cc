// The published models at their full size, as headers over files without data: opened, held to their
// config.json and counted, within the time and memory that the headers take.
#include <gtest/gtest.h>

#include <filesystem>

#include "hadal/core/error.h"
#include "hadal/model/checkpoint.h"
#include "hadal/model/forward.h"
#include "hadal/model/inspect.h"
#include "tests/support/compare.h"
#include "tests/support/refusal.h"
#include "tests/support/sparse_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

struct FullSize {
  const char* preset;
  WeightForm form;
  int64_t n_shards;
  double total, active;  // parameters, billions, as the model cards have them to this precision
  double bytes;          // of the files, GB
};

class FullSizeTest : public testing::TestWithParam<FullSize> {
 protected:
  ThreadPool pool_{2};
  Arena arena_;
  Context ctx_{pool_, arena_};
  TemporaryFolder folder_;
};

TEST_P(FullSizeTest, IsDescribedByItsHeaders) {
  const FullSize& want = GetParam();
  const std::string folder = folder_ / "model";
  const int64_t bytes =
      write_sparse_checkpoint(folder, find_preset(want.preset).config, want.form, want.n_shards);
  const Json found = inspect_path(ctx_, folder, kind_of(folder), /*verify=*/false);
  EXPECT_EQ(found.at("kind").as_string(), "checkpoint");
  EXPECT_NEAR(found.at("parameters_total").as_number() / 1e9, want.total, 0.005);
  EXPECT_NEAR(found.at("parameters_active").as_number() / 1e9, want.active, 0.005);
  EXPECT_EQ(found.at("bytes").as_integer(), bytes);
  EXPECT_NEAR(static_cast<double>(bytes) / 1e9, want.bytes, want.bytes / 100);
  EXPECT_EQ(found.at("files").as_integer(), want.n_shards);
  if (want.total > 100) {  // terabytes of F32: refused at once, by the headers alone
    expect_refused<Unavailable>([&] { load_model(ctx_, folder); },
                                "weights widened to F32 do not fit into memory");
  }
  // One shard less is no whole model any more.
  std::filesystem::remove(folder + "/model-00002-of-" +
                          std::to_string(1000000 + want.n_shards).substr(1) + ".safetensors");
  expect_refused<FormatError>([&] { inspect_path(ctx_, folder, kind_of(folder), false); },
                              "model-00002-of-");
}
// Sizes: 1 byte a projection and 4 for 16384 of them in FP8, 2 bytes for all else.
INSTANTIATE_TEST_SUITE_P(
    Models, FullSizeTest,
    testing::Values(FullSize{"deepseek-v3", WeightForm::kFp8, 163, 671.03, 37.55, 688.6},
                    FullSize{"kimi-k2", WeightForm::kFp8, 61, 1026.41, 32.86, 1029.2},
                    FullSize{"deepseek-v2-lite", WeightForm::kBF16, 4, 15.71, 2.66, 31.4},
                    FullSize{"moonlight-16b-a3b", WeightForm::kBF16, 27, 15.96, 2.91, 31.9}),
    [](const auto& model) {
      std::string name = model.param.preset;
      std::erase_if(name, [](char c) { return c == '-'; });
      return name;
    });

// DeepSeek-V3 with every layer, expert and MTP module of its own, all of them narrow: every published name
// is there, opens as it is stored and computes what the same values in F32 do.
TEST(ExactLayoutTest, ANarrowDeepSeekV3OpensAndPredicts) {
  ModelConfig config = find_preset("deepseek-v3").config;
  config.d_model = 32;
  config.vocab_size = 256;
  config.n_heads = 2;
  config.q_lora_rank = 16;
  config.kv_lora_rank = 16;
  config.qk_nope_head_dim = config.v_head_dim = 16;
  config.qk_rope_head_dim = 8;
  config.d_ff = 32;
  config.d_expert = 8;
  config.bos_token_id = 0;
  config.eos_token_ids = {1};
  ThreadPool pool(2);
  Arena arena;
  Context ctx{pool, arena};
  TemporaryFolder folder;
  {
    DeepseekV3 model = make_model(config, arena);
    initialise_weights(model, arena, 1, 0.1F);
    save_model(ctx, folder / "v3", model, {.dtype = SaveDType::kFP8, .max_shard_bytes = 98'000});
  }
  const TensorSource source = TensorSource::open(folder / "v3");
  EXPECT_GT(source.files().size(), 100U);
  for (const char* name :
       {"model.embed_tokens.weight", "model.layers.0.mlp.gate_proj.weight_scale_inv",
        "model.layers.3.self_attn.q_a_proj.weight", "model.layers.3.self_attn.q_a_layernorm.weight",
        "model.layers.3.self_attn.kv_a_proj_with_mqa.weight_scale_inv",
        "model.layers.60.mlp.gate.e_score_correction_bias",
        "model.layers.60.mlp.experts.255.down_proj.weight_scale_inv",
        "model.layers.60.mlp.shared_experts.up_proj.weight", "model.layers.61.embed_tokens.weight",
        "model.layers.61.enorm.weight", "model.layers.61.hnorm.weight",
        "model.layers.61.eh_proj.weight", "model.layers.61.shared_head.norm.weight",
        "model.layers.61.shared_head.head.weight", "model.norm.weight", "lm_head.weight"}) {
    EXPECT_NE(source.find(name), nullptr) << name;
  }
  const std::vector<int32_t> tokens = {0, 17, 200, 3, 99};
  const DeepseekV3 stored = load_model(ctx, folder / "v3", {.dtype = LoadAs::kAsStored});
  const EvalOutput got = forward_logits(ctx, stored, tokens, Sequences::equal(1, 5), true);
  const DeepseekV3 values = load_model(ctx, folder / "v3");
  const EvalOutput want = forward_logits(ctx, values, tokens, Sequences::equal(1, 5), true);
  // Sums in another order through 61 layers, routers among them.
  const Tolerance close{.frobenius = 1e-3, .cosine = 1e-5, .absolute = 5e-3};
  expect_close(got.logits, want.logits, close, "logits");
  ASSERT_EQ(got.mtp_logits.size(), 1U);
  expect_close(got.mtp_logits[0], want.mtp_logits[0], close, "MTP logits");
}

}  // namespace
}  // namespace hadal::test
