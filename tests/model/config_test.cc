// model/config, model/hf_config, model/presets: published counts, config.json in and out, refusals.
#include "hadal/model/config.h"

#include <gtest/gtest.h>

#include "hadal/core/error.h"
#include "hadal/model/checkpoint.h"
#include "tests/support/refusal.h"

namespace hadal::test {
namespace {

struct Published {
  const char* preset;
  int64_t total, active, active_without_embedding, mtp;
};
// docs/equations.md, "Parameter counts"
constexpr Published kPublished[] = {
    {"deepseek-v3", 671'026'419'200, 37'552'297'472, 36'625'618'432, 11'610'068'224},
    {"deepseek-v2", 235'741'434'880, 21'375'800'320, 20'851'512'320, 0},
    {"deepseek-v2-lite", 15'706'484'224, 2'661'150'208, 2'451'435'008, 0},
    {"moonlight-16b-a3b", 15'960'110'208, 2'914'776'192, 2'579'231'872, 0},
    {"kimi-k2", 1'026'408'232'448, 32'861'500'928, 31'687'095'808, 0},
};

TEST(PresetTest, CountsAreThePublishedOnes) {
  for (const Published& want : kPublished) {
    const ParameterCount got = count_parameters(find_preset(want.preset).config);
    EXPECT_EQ(got.total, want.total) << want.preset;
    EXPECT_EQ(got.active, want.active) << want.preset;
    EXPECT_EQ(got.active_without_embedding, want.active_without_embedding) << want.preset;
    EXPECT_EQ(got.mtp, want.mtp) << want.preset;
  }
}

TEST(PresetTest, TiedTablesAreCountedOnce) {
  ModelConfig config = find_preset("tiny").config;
  const ParameterCount untied = count_parameters(config);
  config.tie_word_embeddings = true;
  const ParameterCount tied = count_parameters(config);
  EXPECT_EQ(untied.total - tied.total, config.vocab_size * config.d_model);
  EXPECT_EQ(tied.active_without_embedding, tied.active);
}

TEST(PresetTest, EveryPresetIsValidAndSurvivesConfigJson) {
  for (const Preset& preset : presets()) {
    EXPECT_NO_THROW(preset.config.validate()) << preset.name;
    const std::string text = config_to_hf(preset.config).dump(2);
    EXPECT_EQ(config_from_hf(parse_json(text, "text"), "text"), preset.config) << preset.name;
  }
}

TEST(PresetTest, NamesAsPeopleWriteThem) {
  EXPECT_EQ(find_preset("deepseek-ai/DeepSeek-V3").name, "deepseek-v3");
  EXPECT_EQ(find_preset("v2_lite").name, "deepseek-v2-lite");
  EXPECT_EQ(find_preset("Moonlight-16B-A3B").name, "moonlight-16b-a3b");
  EXPECT_EQ(find_preset("K2").name, "kimi-k2");
  try {
    find_preset("deepsek-v3");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean deepseek-v3"), std::string::npos);
  }
}

// A path that is not there is no preset, whatever it ends in.
TEST(PresetTest, APathThatEndsInAPresetsNameIsNone) {
  for (const char* path : {"/no/such/small", "no/such/small", "runs/small", "./small", "small/",
                           "/small", "no/such/deepseek-ai/DeepSeek-V3"}) {
    expect_refused<ConfigError>([&] { find_preset(path); },
                                concat("preset: no such model shape (found \"", path, "\")"));
    expect_refused<FormatError>([&] { load_config(path); }, concat(path, ": no such folder"));
  }
  EXPECT_EQ(load_config("deepseek-ai/DeepSeek-V3"), find_preset("deepseek-v3").config);
  EXPECT_EQ(load_config("moonshotai/Moonlight_16B_A3B"), find_preset("moonlight").config);
}

Json v3_json() { return config_to_hf(find_preset("deepseek-v3").config); }

std::string refusal(const Json& json) {
  try {
    config_from_hf(json, "config.json");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "";
}

void erase(Json& json, const std::string& key) {
  std::erase_if(json.as_object(), [&](const Json::Member& member) { return member.first == key; });
}

TEST(HfConfigTest, WritesThePublishedValues) {
  const Json json = v3_json();
  EXPECT_EQ(json.at("architectures").dump(), "[\"DeepseekV3ForCausalLM\"]");
  EXPECT_EQ(json.at("routed_scaling_factor").as_number(), 2.5);
  EXPECT_EQ(json.at("num_key_value_heads").as_integer(), 128);
  EXPECT_EQ(json.at("rope_scaling").at("type").as_string(), "yarn");
  EXPECT_EQ(json.find("quantization_config"), nullptr);
  // a float prints as people write it
  const Json moonlight = config_to_hf(find_preset("moonlight").config);
  EXPECT_EQ(moonlight.at("routed_scaling_factor").dump(), "2.446");
  EXPECT_TRUE(moonlight.at("q_lora_rank").is_null());
  EXPECT_TRUE(moonlight.at("rope_scaling").is_null());
}

TEST(HfConfigTest, ReadsBothSpellings) {
  const ModelConfig old_spelling = config_from_hf(v3_json(), "");
  Json json = v3_json();
  Json rope = json.at("rope_scaling");
  erase(rope, "type");
  rope["rope_type"] = "yarn";
  rope["rope_theta"] = 10000;
  erase(json, "rope_scaling");
  erase(json, "rope_theta");
  erase(json, "torch_dtype");
  json["rope_parameters"] = rope;
  json["dtype"] = "bfloat16";
  EXPECT_EQ(config_from_hf(json, ""), old_spelling);
  json["rope_parameters"] = parse_json(R"({"rope_type":"default","rope_theta":50000.0})", "");
  const ModelConfig plain = config_from_hf(json, "");
  EXPECT_FALSE(plain.yarn.has_value());
  EXPECT_EQ(plain.rope_theta, 50000.0);
}

TEST(HfConfigTest, AbsentAndNullValues) {
  Json json = v3_json();
  json["q_lora_rank"] = nullptr;
  EXPECT_EQ(config_from_hf(json, "").q_lora_rank, 0);
  erase(json, "q_lora_rank");
  EXPECT_EQ(config_from_hf(json, "").q_lora_rank, 0);
  json["eos_token_id"] = Json::Array{1, 7};
  EXPECT_EQ(config_from_hf(json, "").eos_token_ids, (std::vector<int64_t>{1, 7}));
  json["bos_token_id"] = nullptr;
  EXPECT_EQ(config_from_hf(json, "").bos_token_id, -1);
  erase(json, "num_nextn_predict_layers");
  EXPECT_EQ(config_from_hf(json, "").n_mtp, 0);
  json["something_new"] = Json::Array{};  // unknown keys are ignored
  EXPECT_EQ(refusal(json), "");
}

TEST(HfConfigTest, ReadsFp8Settings) {
  Json json = v3_json();
  json["quantization_config"] =
      parse_json(R"({"quant_method":"fp8","fmt":"e4m3","activation_scheme":"dynamic",)"
                 R"("weight_block_size":[128,128],"scale_fmt":"ue8m0"})",
                 "");
  const ModelConfig config = config_from_hf(json, "");
  EXPECT_TRUE(config.fp8);
  EXPECT_TRUE(config.fp8_power_of_two_scales);
  EXPECT_EQ(config_from_hf(config_to_hf(config), ""), config);
}

// A default that newer tools write, and the other spelling of the same file.
TEST(HfConfigTest, FloatScalesAreOrdinaryOnes) {
  Json json = v3_json();
  json["quantization_config"] = parse_json(
      R"({"quant_method":"fp8","activation_scheme":"dynamic","weight_block_size":[128,128]})", "");
  const ModelConfig without = config_from_hf(json, "");
  json["quantization_config"]["scale_fmt"] = "float";
  EXPECT_EQ(config_from_hf(json, ""), without);
  EXPECT_FALSE(without.fp8_power_of_two_scales);
  json["quantization_config"]["scale_fmt"] = "int8";
  EXPECT_NE(refusal(json).find("found \"int8\", expected \"ue8m0\" or \"float\""),
            std::string::npos)
      << refusal(json);
}

TEST(HfConfigTest, TwoPlacesForTheRotationMustAgree) {
  Json json = v3_json();
  const ModelConfig yarn = config_from_hf(json, "");
  Json block = json.at("rope_scaling");
  json["rope_parameters"] = Json::object();  // says nothing
  EXPECT_EQ(config_from_hf(json, ""), yarn);
  json["rope_parameters"]["rope_theta"] = 10000;
  EXPECT_EQ(config_from_hf(json, ""), yarn);
  json["rope_parameters"] = block;
  EXPECT_EQ(config_from_hf(json, ""), yarn);
  json["rope_parameters"]["factor"] = 4;
  EXPECT_NE(refusal(json).find("rope_parameters: contradicts rope_scaling"), std::string::npos)
      << refusal(json);
  json["rope_parameters"] = parse_json(R"({"rope_type":"default","rope_theta":10000.0})", "");
  EXPECT_NE(refusal(json).find("found no scaling, expected as there, YaRN of factor 40"),
            std::string::npos)
      << refusal(json);
  json["rope_scaling"] = nullptr;
  EXPECT_FALSE(config_from_hf(json, "").yarn.has_value());
  json["rope_parameters"]["rope_theta"] = 50000;
  EXPECT_NE(refusal(json).find("rope_parameters.rope_theta: contradicts rope_theta (found 50000"),
            std::string::npos)
      << refusal(json);
}

TEST(HfConfigTest, ARopeBlockWithoutATypeIsNoWayToSayNone) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    Json json = v3_json();
    Json block = json.at("rope_scaling");
    erase(block, "type");
    json["rope_scaling"] = nullptr;
    json[key] = block;
    EXPECT_NE(refusal(json).find(std::string(key) + ": a block without a type"), std::string::npos)
        << refusal(json);
  }
  Json json = v3_json();
  json["rope_scaling"] = Json::object();
  EXPECT_NE(refusal(json).find("rope_scaling: a block without a type"), std::string::npos);
}

TEST(HfConfigTest, GroupsThatAreNull) {
  for (const char* key : {"n_group", "topk_group"}) {
    Json json = v3_json();
    json[key] = nullptr;
    EXPECT_NE(refusal(json).find(std::string(key) + ": null"), std::string::npos) << refusal(json);
    EXPECT_NE(refusal(json).find("write 1"), std::string::npos) << refusal(json);
  }
}

TEST(HfConfigTest, TwoSpellingsOfTheMtpModulesMustAgree) {
  Json json = v3_json();
  json["num_mtp_layers"] = 1;
  EXPECT_EQ(config_from_hf(json, "").n_mtp, 1);
  json["num_mtp_layers"] = 2;
  EXPECT_NE(refusal(json).find("num_mtp_layers"), std::string::npos);
}

struct BadValue {
  const char *key, *value;
};

// Every one names its key; nothing is replaced in silence.
TEST(HfConfigTest, RefusesValuesItDoesNotImplement) {
  constexpr BadValue kTable[] = {
      {"model_type", "\"llama\""},
      {"model_type", "\"deepseek_v32\""},
      {"model_type", "null"},
      {"architectures", "[\"LlamaForCausalLM\"]"},
      {"hidden_act", "\"gelu\""},
      {"attention_bias", "true"},
      {"attention_dropout", "0.1"},
      {"rope_interleave", "false"},
      {"num_key_value_heads", "8"},
      {"index_topk", "2048"},
      {"scoring_func", "\"tanh\""},
      {"topk_method", "\"aux_free\""},
      {"rope_scaling", "{\"type\":\"linear\",\"factor\":2}"},
      {"rope_scaling", "{\"type\":\"yarn\",\"factor\":2}"},
      {"rope_scaling",
       "{\"type\":\"yarn\",\"factor\":2,\"original_max_position_embeddings\":4,"
       "\"attention_factor\":2}"},
      {"rope_scaling", "7"},
      {"quantization_config", "{\"quant_method\":\"awq\"}"},
      {"quantization_config", "{\"quant_method\":\"fp8\",\"weight_block_size\":[64,64]}"},
      {"quantization_config", "{\"quant_method\":\"hadal\",\"bits\":3,\"block_size\":32}"},
      {"torch_dtype", "\"float64\""},
      {"tie_word_embeddings", "1"},
      {"norm_topk_prob", "\"yes\""},
  };
  for (const BadValue& bad : kTable) {
    Json json = v3_json();
    json[bad.key] = parse_json(bad.value, "");
    const std::string message = refusal(json);
    EXPECT_TRUE(message.starts_with("config.json: ")) << bad.key << " " << bad.value;
    EXPECT_NE(message.find(bad.key), std::string::npos) << bad.key << ": " << message;
  }
}

TEST(HfConfigTest, RefusesAbsurdNumbers) {
  const char* integers[] = {"hidden_size",
                            "num_hidden_layers",
                            "vocab_size",
                            "num_attention_heads",
                            "kv_lora_rank",
                            "qk_nope_head_dim",
                            "qk_rope_head_dim",
                            "v_head_dim",
                            "intermediate_size",
                            "moe_intermediate_size",
                            "n_routed_experts",
                            "num_experts_per_tok",
                            "moe_layer_freq",
                            "n_group",
                            "topk_group",
                            "q_lora_rank",
                            "max_position_embeddings"};
  for (const char* key : integers) {
    for (const char* value : {"0", "-1", "1000000000000000000", "1e300", "1.5", "\"7168\"", "[]",
                              "{}", "true", "18446744073709551615"}) {
      Json json = v3_json();
      json[key] = parse_json(value, "");
      const std::string message = refusal(json);
      EXPECT_NE(message, "") << key << " = " << value;
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }
  for (const char* key : {"rms_norm_eps", "rope_theta", "routed_scaling_factor"}) {
    for (const char* value : {"0", "-1", "1e300", "\"x\"", "[]", "false"}) {
      Json json = v3_json();
      json[key] = parse_json(value, "");
      EXPECT_NE(refusal(json), "") << key << " = " << value;
    }
  }
}

TEST(HfConfigTest, RefusesAMissingKey) {
  for (const char* key : {"hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads",
                          "kv_lora_rank", "n_routed_experts", "num_experts_per_tok", "model_type",
                          "moe_intermediate_size", "max_position_embeddings"}) {
    Json json = v3_json();
    erase(json, key);
    EXPECT_NE(refusal(json).find(key), std::string::npos) << key;
  }
  EXPECT_NE(refusal(Json::array()), "");
  EXPECT_NE(refusal(Json(1)), "");
}

TEST(ModelConfigTest, RefusesWhatDoesNotFitTogether) {
  const auto message = [](auto change) {
    ModelConfig config;
    change(config);
    try {
      config.validate();
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_TRUE(message([](ModelConfig& c) { c.router.n_group = 3; }).starts_with("n_group"));
  EXPECT_TRUE(message([](ModelConfig& c) { c.router.topk_group = 9; }).starts_with("topk_group"));
  EXPECT_TRUE(
      message([](ModelConfig& c) { c.router.top_k = 129; }).starts_with("num_experts_per_tok"));
  EXPECT_TRUE(
      message([](ModelConfig& c) { c.qk_rope_head_dim = 63; }).starts_with("qk_rope_head_dim"));
  EXPECT_TRUE(message([](ModelConfig& c) {
                c.first_k_dense_replace = 62;
              }).starts_with("first_k_dense_replace"));
  EXPECT_TRUE(
      message([](ModelConfig& c) { c.eos_token_ids = {129280}; }).starts_with("eos_token_id"));
  EXPECT_TRUE(message([](ModelConfig& c) {
                c.router.n_group = 256;
                c.router.topk_group = 256;
              }).starts_with("n_group"));
  EXPECT_TRUE(
      message([](ModelConfig& c) { c.yarn->factor = 0.5; }).starts_with("rope_scaling.factor"));
  EXPECT_EQ(message([](ModelConfig& c) { c.router.topk_group = 1; }), "");
  // each size is within its range, all together are not
  const auto wide = [](int64_t n_layers) {
    return [=](ModelConfig& c) {
      c.d_model = c.d_expert = 1 << 22;
      c.n_layers = n_layers;
    };
  };
  EXPECT_TRUE(message(wide(61)).starts_with("model: too many parameters"));
  EXPECT_TRUE(message(wide(4000)).starts_with("model: more than 2^63 parameters"));
}

}  // namespace
}  // namespace hadal::test
