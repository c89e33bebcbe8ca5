// model/hf_neighbours: what looks like DeepSeek-V3 and is not is refused by the part that is missing,
// whether config.json, the tensors or the files say it. Keys and names are those of the published models.
#include "hadal/model/hf_neighbours.h"

#include <gmock/gmock.h>

#include "hadal/core/error.h"
#include "hadal/io/model_files.h"
#include "hadal/model/checkpoint.h"
#include "tests/support/golden_case.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

using testing::HasSubstr;

// config.json of the preset with some members of another model's.
Json with_members(const char* preset, const char* members) {
  Json json = config_to_hf(find_preset(preset).config);
  const Json changes = parse_json(members, "members");
  for (const auto& [key, value] : changes.as_object()) json[key] = value;
  return json;
}

FormatError refused_config(const Json& json) {
  try {
    config_from_hf(json, "config.json");
  } catch (const FormatError& error) {
    return error;
  }
  ADD_FAILURE() << "not refused: " << json.dump();
  return FormatError("nothing");
}

struct ForeignConfig {
  const char* model;
  const char* members;
  const char* field;
  const char* missing;
};
constexpr ForeignConfig kForeignConfigs[] = {
    {"DeepSeek-V3.2",
     R"({"model_type":"deepseek_v32","architectures":["DeepseekV32ForCausalLM"],"index_head_dim":128,
         "index_n_heads":64,"index_topk":2048})",
     "model_type", "indexer"},
    {"V3.2 under V3's name", R"({"index_head_dim":128,"index_n_heads":64,"index_topk":2048})",
     "index_topk", "indexer"},
    {"DeepSeek-V4",
     R"({"model_type":"deepseek_v4","architectures":["DeepseekV4ForCausalLM"],"index_topk":512,
         "compress_ratios":[0,0,4,128],"expert_dtype":"fp4"})",
     "model_type", "DeepSeek-V4's compressed attention"},
    {"V4 under V3's name", R"({"compress_ratios":[0,0,4,128],"index_topk":512})", "compress_ratios",
     "DeepSeek-V4's compressed attention"},
    {"DeepSeek-MoE 16B",
     R"({"model_type":"deepseek","architectures":["DeepseekForCausalLM"],"num_key_value_heads":16})",
     "model_type", "first DeepSeek-MoE"},
    {"DeepSeek-VL2",
     R"({"model_type":"deepseek_vl_v2","language_config":{"model_type":"deepseek_v2"},
         "vision_config":{"model_type":"vision"},"projector_config":{"depth":2}})",
     "model_type", "reads images"},
    {"Kimi-VL",
     R"({"model_type":"kimi_vl","text_config":{"model_type":"deepseek_v3"},
         "vision_config":{"model_type":"moonvit"}})",
     "model_type", "reads images"},
    {"Kimi-K2.5",
     R"({"model_type":"kimi_k25","text_config":{"model_type":"kimi_k2"},
         "vision_config":{"patch_size":14}})",
     "model_type", "reads images"},
    {"a vision part beside V3's keys", R"({"vision_config":{"patch_size":14}})", "vision_config",
     "reads images"},
    {"Kimi Linear", R"({"model_type":"kimi_linear","linear_attn_config":{"kda_layers":[1,2,3]}})",
     "model_type", "recurrent state"},
    {"Kimi-K2-Thinking",
     R"({"model_type":"kimi_k2","quantization_config":{"quant_method":"compressed-tensors",
         "format":"pack-quantized","config_groups":{"group_0":{"targets":["Linear"],
         "weights":{"num_bits":4,"type":"int","group_size":32}}}}})",
     "quantization_config.quant_method", "compressed-tensors"},
    {"AWQ", R"({"quantization_config":{"quant_method":"awq","bits":4,"group_size":128}})",
     "quantization_config.quant_method", "AWQ"},
    {"GPTQ", R"({"quantization_config":{"quant_method":"gptq","bits":4}})",
     "quantization_config.quant_method", "GPTQ"},
    {"MXFP4", R"({"quantization_config":{"quant_method":"mxfp4"}})",
     "quantization_config.quant_method", "MXFP4"},
    {"NVFP4", R"({"quantization_config":{"quant_method":"modelopt","quant_algo":"NVFP4"}})",
     "quantization_config.quant_method", "NVFP4"},
    {"a draft module alone", R"({"architectures":["DeepseekV3ForCausalLMNextN"]})", "architectures",
     "MTP module by itself"},
};

TEST(NeighboursTest, ConfigsAreRefusedByTheMissingPart) {
  for (const ForeignConfig& each : kForeignConfigs) {
    const FormatError error = refused_config(with_members("deepseek-v3", each.members));
    EXPECT_EQ(error.place, "config.json") << each.model;
    EXPECT_EQ(error.field, each.field) << each.model;
    EXPECT_THAT(error.problem, HasSubstr(each.missing)) << each.model;
    EXPECT_NE(error.advice, "") << each.model;
    EXPECT_THAT(std::string(error.what()), testing::Not(HasSubstr("\n"))) << each.model;
  }
  const Json int4 = with_members("kimi-k2", kForeignConfigs[10].members);
  EXPECT_THAT(refused_config(int4).found, HasSubstr("4 bits of \"int\""));
}

// What is there and says nothing: keys of other models that a V3 may carry all the same.
TEST(NeighboursTest, KeysThatAskForNothingAreNone) {
  const Json json =
      with_members("deepseek-v3",
                   R"({"index_topk":null,"sliding_window":false,"vision_config":null,"ep_size":8,
                       "expert_dtype":"bf16 of fp4"})");
  EXPECT_NO_THROW(config_from_hf(json, "config.json"));
}

TEST(NeighboursTest, RotationsThatAreNotYarnNameTheirType) {
  for (const char* type : {"linear", "dynamic", "llama3", "longrope", "deepseek_yarn"}) {
    Json json = with_members("deepseek-v3", "{}");
    json["rope_scaling"]["type"] = type;
    EXPECT_THAT(std::string(refused_config(json).what()),
                testing::AllOf(HasSubstr("rope_scaling"), HasSubstr(type), HasSubstr("yarn")));
  }
}

struct ForeignTensor {
  const char* name;
  DType dtype;
  const char* missing;
};
constexpr ForeignTensor kForeignTensors[] = {
    {"model.layers.1.self_attn.indexer.wq_b.weight", DType::kBF16, "indexer"},
    {"layers.0.hc_attn_fn", DType::kF32, "DeepSeek-V4"},
    {"vision_tower.patch_embed.proj.weight", DType::kBF16, "reads images"},
    {"language_model.model.norm.weight", DType::kBF16, "text part"},
    {"model.layers.1.mlp.experts.0.up_proj.weight_packed", DType::kI32, "compressed-tensors"},
    {"model.layers.1.mlp.experts.0.up_proj.qweight", DType::kI32, "AWQ or GPTQ"},
    {"model.layers.1.mlp.experts.gate_up_proj_blocks", DType::kU8, "MXFP4"},
    {"model.layers.1.mlp.experts.0.up_proj.weight_scale_2", DType::kF32, "NVFP4"},
    {"layers.1.attn.wkv_a.weight", DType::kBF16, "demo program"},
};

// A config.json that says plain V3 over tensors that are none.
TEST(NeighboursTest, TensorsAreRefusedByTheMissingPart) {
  TemporaryFolder folder;
  Arena arena;
  ThreadPool pool(1);
  Context ctx{pool, arena};
  copy_files(golden_folder("b_moonlight"), folder.path());
  const TensorSource source = TensorSource::open(golden_folder("b_moonlight"));
  for (const ForeignTensor& each : kForeignTensors) {
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, entry] : source.entries()) tensors[name] = source.tensor(entry);
    tensors[each.name] = Tensor::zeros(arena, each.dtype, {2, 2});
    std::vector<std::pair<std::string, const Tensor*>> list;
    for (const auto& [name, tensor] : tensors) list.emplace_back(name, &tensor);
    write_safetensors(folder / "model.safetensors", list);
    try {
      load_model(ctx, folder.path());
      ADD_FAILURE() << "not refused: " << each.name;
    } catch (const FormatError& error) {
      EXPECT_THAT(error.problem, HasSubstr(each.missing)) << each.name;
      EXPECT_THAT(error.found, HasSubstr(each.name));
      EXPECT_NE(error.advice, "");
    }
  }
}

TEST(NeighboursTest, FilesOfOtherProgramsAreNamed) {
  for (const auto& [file, advice] :
       {std::pair{"model0-mp8.safetensors", "demo program"}, {"model-Q4_K_M.gguf", "made from"}}) {
    TemporaryFolder folder;
    folder.write(file, "GGUF");
    folder.write("config.json", with_members("deepseek-v3", "{}").dump());
    expect_refused<FormatError>([&, path = folder.path()] { TensorSource::open(path); }, advice);
    EXPECT_EQ(unread_weights(folder.path()).found, file);
  }
}

}  // namespace
}  // namespace hadal::test
