// What other programs rely on in the files that are written, and what is meant where a file says nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "hadal/io/safetensors.h"
#include "hadal/model/checkpoint.h"
#include "hadal/model/hf_names.h"
#include "hadal/model/precision.h"
#include "tests/support/random_model.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

TEST(SavedFiles, NoShardIsLargerThanItMayBe) {
  RandomModel random(odd_config());
  for (const SaveDType dtype : {SaveDType::kF32, SaveDType::kBF16, SaveDType::kFP8}) {
    const TemporaryFolder folder;
    constexpr int64_t kMost = 60'000;
    save_folder(folder.path(), random.model, {.dtype = dtype, .max_shard_bytes = kMost});
    const TensorSource source = TensorSource::open(folder.path());
    EXPECT_GT(source.files().size(), 1U);
    for (const auto& file : source.files()) {
      int64_t bytes = 0;
      for (const TensorInfo& info : file->tensors()) bytes += stored_bytes(info);
      if (file->tensors().size() <= 2) continue;  // a weight alone may be larger
      EXPECT_LE(bytes, kMost) << file->path();
    }
  }
}

// Loaders that want the tables in every MTP layer find those of the main model.
TEST(SavedFiles, TablesInMtpLayersAreCopies) {
  RandomModel random(two_mtp_config());
  const TemporaryFolder folder;
  save_folder(folder.path(), random.model, {.dtype = SaveDType::kBF16});
  const TensorSource source = TensorSource::open(folder.path());
  const std::vector<HfCopy> copies = hf_mtp_copies(random.model.config);
  EXPECT_EQ(copies.size(), 4U);
  for (const HfCopy& copy : copies) {
    ASSERT_NE(source.find(copy.name), nullptr) << copy.name;
    const Tensor table = source.tensor(*source.find(copy.of));
    const Tensor same = source.tensor(*source.find(copy.name));
    ASSERT_EQ(same.shape(), table.shape());
    EXPECT_EQ(std::memcmp(same.raw(), table.raw(), static_cast<size_t>(table.bytes())), 0)
        << copy.name;
  }
}

ModelConfig without(std::vector<std::string> keys, Json json) {
  std::erase_if(json.as_object(), [&](const Json::Member& member) {
    return std::find(keys.begin(), keys.end(), member.first) != keys.end();
  });
  return config_from_hf(json, "config.json");
}

// The values that transformers' DeepseekV3Config has for what config.json lacks.
TEST(ConfigDefaults, OfRotaryPositions) {
  const Json json = config_to_hf(odd_config());
  EXPECT_EQ(without({"rope_theta"}, json).rope_theta, 10000.0);
  Json yarn = json;
  yarn["rope_scaling"] =
      parse_json(R"({"type":"yarn","factor":4,"original_max_position_embeddings":16})", "yarn");
  const ModelConfig config = config_from_hf(yarn, "config.json");
  ASSERT_TRUE(config.yarn);
  EXPECT_EQ(config.yarn->mscale, 1.0);
  EXPECT_EQ(config.yarn->mscale_all_dim, 0.0);
  EXPECT_EQ(config.yarn->beta_fast, 32.0);
  EXPECT_EQ(config.yarn->beta_slow, 1.0);
}

TEST(ConfigDefaults, OfTheRouterAreThoseOfItsModelType) {
  Json json = config_to_hf(softmax_config());
  const std::vector<std::string> keys = {"norm_topk_prob", "scoring_func", "topk_method"};
  json["model_type"] = "deepseek_v2";
  const RouterConfig v2 = without(keys, json).router;
  EXPECT_EQ(v2.method, TopkMethod::kGreedy);
  EXPECT_EQ(v2.scoring, ScoringFunction::kSoftmax);
  EXPECT_FALSE(v2.norm_topk_prob);
  const RouterConfig v3 = without(keys, config_to_hf(odd_config())).router;
  EXPECT_EQ(v3.method, TopkMethod::kNoauxTc);
  EXPECT_EQ(v3.scoring, ScoringFunction::kSigmoid);
  EXPECT_TRUE(v3.norm_topk_prob);
}

TEST(SetPrecision, ReachesTheLinearsOfEveryLayerAndOfMtp) {
  RandomModel random(two_mtp_config());
  DeepseekV3& model = random.model;
  set_precision(model, Precision::kFp8Input);
  std::vector<DecoderLayer*> layers;
  for (DecoderLayer& layer : model.layers) layers.push_back(&layer);
  for (MtpBlock& block : model.mtp) {
    layers.push_back(&block.layer);
    EXPECT_EQ(block.w_eh.precision, Precision::kF32);  // as eh_proj is stored
  }
  for (DecoderLayer* layer : layers) {
    Mla& mla = layer->attn;
    for (const Linear* each : {&*mla.w_dq, &mla.w_uq, &mla.w_dkv, &mla.w_ukv, &mla.w_o}) {
      EXPECT_EQ(each->precision, Precision::kFp8Input) << layer->index;
    }
    if (Moe* moe = layer->moe()) {
      for (const GroupedLinear* each : {&moe->w_gate, &moe->w_up, &moe->w_down}) {
        EXPECT_EQ(each->precision, Precision::kFp8Input) << layer->index;
      }
    } else {
      EXPECT_EQ(std::get<Ffn>(layer->ffn).w_down.precision, Precision::kFp8Input) << layer->index;
    }
  }
}

}  // namespace
}  // namespace hadal::test
