// model/checkpoint: golden checkpoints load exactly, what is saved is loaded, damage is refused.
#include "hadal/model/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/io/safetensors.h"
#include "hadal/model/config.h"
#include "tests/support/golden_case.h"
#include "tests/support/random_model.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

using Tensors = std::map<std::string, Tensor>;

Tensors read_all(const TensorSource& source) {
  Tensors result;
  for (const auto& [name, entry] : source.entries()) result[name] = source.tensor(entry);
  return result;
}

void write_all(const std::string& path, const Tensors& tensors) {
  std::vector<std::pair<std::string, const Tensor*>> list;
  for (const auto& [name, tensor] : tensors) list.emplace_back(name, &tensor);
  write_safetensors(path, list);
}

void expect_same_values(DeepseekV3& got, DeepseekV3& want) {
  const auto a = named_params(got), b = named_params(want);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    const auto x = std::as_const(a[i].param->master).flat<float>();
    const auto y = std::as_const(b[i].param->master).flat<float>();
    ASSERT_EQ(x.size(), y.size()) << a[i].name;
    EXPECT_EQ(std::memcmp(x.data(), y.data(), x.size_bytes()), 0) << a[i].name;
  }
}

TEST(LoadModelTest, BF16ValuesAreExact) {
  for (const char* name : {"a_yarn_mtp", "b_moonlight", "f_tied"}) {
    Arena arena;
    DeepseekV3 model = load_folder(golden_folder(name), arena);
    const TensorSource source = TensorSource::open(golden_folder(name));
    for (const NamedParam& param : named_params(model)) {
      const auto values = std::as_const(param.param->master).flat<float>();
      const Tensor stored = source.tensor(*source.find(param.name));
      EXPECT_TRUE(std::holds_alternative<std::monostate>(param.param->working)) << param.name;
      for (size_t i = 0; i < values.size(); ++i) {
        const float want = stored.dtype() == DType::kBF16 ? to_float(stored.flat<bf16>()[i])
                                                          : stored.flat<float>()[i];
        ASSERT_EQ(values[i], want) << param.name << " " << i;
      }
    }
  }
}

// The case has three shards and a scale in another shard than its weight.
TEST(LoadModelTest, Fp8ValuesAreCodeTimesScale) {
  Arena arena;
  DeepseekV3 model = load_folder(golden_folder("c2_fp8_ue8m0"), arena);
  const TensorSource source = TensorSource::open(golden_folder("c2_fp8_ue8m0"));
  int n_fp8 = 0;
  for (const NamedParam& param : named_params(model)) {
    const auto* scale_entry = source.find(param.name + "_scale_inv");
    if (!scale_entry) continue;
    ++n_fp8;
    const Tensor codes = source.tensor(*source.find(param.name));
    const Tensor scales = source.tensor(*scale_entry);
    const auto values = std::as_const(param.param->master).mat();
    for (int64_t n = 0; n < values.dim(0); ++n) {
      for (int64_t k = 0; k < values.dim(1); ++k) {
        const float code = to_float(codes.view<f8e4m3, 2>()(n, k));
        ASSERT_EQ(values(n, k), code * scales.mat()(n / 128, k / 128)) << param.name;
      }
    }
  }
  EXPECT_EQ(n_fp8, 26);
}

TEST(LoadModelTest, AsStoredKeepsTheTypeOfMatricesOnly) {
  Arena arena;
  DeepseekV3 model = load_folder(golden_folder("a_yarn_mtp"), arena, {.dtype = LoadAs::kAsStored});
  EXPECT_EQ(model.embedding.weight().form, WeightForm::kBF16);
  EXPECT_EQ(model.layers[0].attn.w_o.weight.weight().form, WeightForm::kBF16);
  EXPECT_FALSE(model.embedding.master.has_data());
  EXPECT_TRUE(model.final_norm.weight.master.has_data());
  EXPECT_EQ(model.final_norm.weight.master.dtype(), DType::kF32);
}

TEST(LoadModelTest, WithoutMtpTheMainModelIsTheSame) {
  Arena arena;
  DeepseekV3 whole = load_folder(golden_folder("a_yarn_mtp"), arena);
  DeepseekV3 main = load_folder(golden_folder("a_yarn_mtp"), arena, {.with_mtp = false});
  EXPECT_EQ(main.config.n_mtp, 0);
  EXPECT_TRUE(main.mtp.empty());
  whole.mtp.clear();
  whole.config.n_mtp = 0;
  expect_same_values(main, whole);
}

class SaveModelTest : public ::testing::Test {
 protected:
  DeepseekV3 random_model(const std::string& preset) {
    DeepseekV3 model = make_model(find_preset(preset).config, arena_);
    initialise_weights(model, arena_, 1, 0.05F);
    return model;
  }
  Arena arena_;
  TemporaryFolder folder_;
};

TEST_F(SaveModelTest, F32IsExact) {
  for (const char* preset : {"tiny", "tiny-v2", "tiny-v2-lite"}) {
    DeepseekV3 model = random_model(preset);
    save_folder(folder_ / preset, model, {.dtype = SaveDType::kF32});
    DeepseekV3 loaded = load_folder(folder_ / preset, arena_);
    ModelConfig config = model.config;
    config.torch_dtype = "float32";
    EXPECT_EQ(loaded.config, config);
    expect_same_values(loaded, model);
  }
}

TEST_F(SaveModelTest, BF16IsRoundedOnce) {
  DeepseekV3 model = random_model("tiny");
  save_folder(folder_ / "x", model, {.dtype = SaveDType::kBF16});
  DeepseekV3 loaded = load_folder(folder_ / "x", arena_);
  const auto got = named_params(loaded), want = named_params(model);
  for (size_t i = 0; i < got.size(); ++i) {
    const auto x = std::as_const(got[i].param->master).flat<float>();
    const auto y = std::as_const(want[i].param->master).flat<float>();
    for (size_t j = 0; j < x.size(); ++j) ASSERT_EQ(x[j], to_float(to_bf16(y[j]))) << got[i].name;
  }
  save_folder(folder_ / "y", loaded, {.dtype = SaveDType::kBF16});
  EXPECT_EQ(read_bytes(folder_ / "x/model.safetensors"),
            read_bytes(folder_ / "y/model.safetensors"));
}

TEST_F(SaveModelTest, Fp8StaysWithinHalfAStep) {
  DeepseekV3 model = random_model("tiny");
  save_folder(folder_ / "x", model, {.dtype = SaveDType::kFP8});
  DeepseekV3 loaded = load_folder(folder_ / "x", arena_);
  EXPECT_TRUE(loaded.config.fp8);
  DeepseekV3 stored = load_folder(folder_ / "x", arena_, {.dtype = LoadAs::kAsStored});
  const auto form = [](const Param& param) { return param.weight().form; };
  EXPECT_EQ(form(stored.layers[1].moe()->w_up.weights[3]), WeightForm::kFp8);
  EXPECT_EQ(form(stored.layers[0].attn.w_dkv.weight), WeightForm::kFp8);
  EXPECT_EQ(form(stored.embedding), WeightForm::kBF16);
  EXPECT_EQ(form(stored.layers[1].moe()->w_router), WeightForm::kBF16);
  EXPECT_EQ(form(stored.mtp[0].w_eh.weight), WeightForm::kBF16);
  const auto got = named_params(loaded), want = named_params(model);
  const auto codes = named_params(stored);
  for (size_t i = 0; i < got.size(); ++i) {
    if (!std::holds_alternative<Quantized>(codes[i].param->working)) continue;
    const auto x = std::as_const(got[i].param->master).flat<float>();
    const auto y = std::as_const(want[i].param->master).flat<float>();
    float amax = 0;
    for (const float value : y) amax = std::max(amax, std::abs(value));
    for (size_t j = 0; j < x.size(); ++j) {
      // three mantissa bits: half a step is 2^-4 of the value; below 2^-6 of the scale, fixed steps
      // of 2^-9. The two divisions and the product round, hence the last factor.
      const float half_step = std::max(std::abs(y[j]) * 0x1.0p-4F, amax / 448.0F * 0x1.0p-10F);
      ASSERT_LE(std::abs(x[j] - y[j]), half_step * (1.0F + 0x1.0p-20F)) << got[i].name;
    }
  }
}

TEST_F(SaveModelTest, WritesWhatTheOfficialFilesHave) {
  DeepseekV3 model = random_model("tiny");
  save_folder(folder_ / "x", model, {});
  const TensorSource source = TensorSource::open(folder_ / "x");
  EXPECT_NE(source.find("model.layers.4.embed_tokens.weight"), nullptr);
  EXPECT_NE(source.find("model.layers.4.shared_head.head.weight"), nullptr);
  EXPECT_EQ(source.find("model.layers.1.mlp.gate.e_score_correction_bias")->info->dtype,
            DType::kF32);
  EXPECT_EQ(source.find("model.norm.weight")->info->dtype, DType::kBF16);
  EXPECT_EQ(source.find("model.norm.weight")->file->metadata().at("format"), "pt");
  const TemporaryFolder& folder = folder_;
  EXPECT_EQ(parse_json_file(folder / "x/generation_config.json").at("eos_token_id").as_integer(),
            1);
}

TEST_F(SaveModelTest, ShardsCarryAnIndexAndAreReplacedAsAWhole) {
  DeepseekV3 model = random_model("tiny");
  const std::string folder = folder_ / "x";
  save_folder(folder, model, {.dtype = SaveDType::kF32, .max_shard_bytes = 2'000'000});
  const Json index = parse_json_file(folder + "/model.safetensors.index.json");
  const TensorSource source = TensorSource::open(folder);
  EXPECT_GT(source.files().size(), 3U);
  int64_t bytes = 0;
  for (const auto& [name, entry] : source.entries()) bytes += stored_bytes(*entry.info);
  EXPECT_EQ(index.at("metadata").at("total_size").as_integer(), bytes);
  EXPECT_EQ(index.at("weight_map").at("model.norm.weight").as_string().size(),
            std::string("model-00001-of-000005.safetensors").size());
  DeepseekV3 loaded = load_folder(folder, arena_);
  expect_same_values(loaded, model);

  save_folder(folder, model, {.dtype = SaveDType::kBF16});  // one file now, no old shard, no index
  EXPECT_NO_THROW(load_folder(folder, arena_));
  EXPECT_EQ(TensorSource::open(folder).files().size(), 1U);
  int n_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) n_files += entry.exists();
  EXPECT_EQ(n_files, 3);  // model.safetensors, config.json, generation_config.json
}

TEST_F(SaveModelTest, AFullDiskLeavesTheOldCheckpoint) {
  DeepseekV3 model = random_model("tiny");
  save_folder(folder_ / "x", model, {.dtype = SaveDType::kF32});
  DeepseekV3 other = make_model(model.config, arena_);
  initialise_weights(other, arena_, 2);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1'550'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  // all in one; the first shard fits, the second does not
  for (const auto& [bytes, file] : {std::pair{1 << 30, "x/model.safetensors"},
                                    {1'600'000, "x/model-00002-of-000013.safetensors"}}) {
    expect_refused<IoError>(
        [&, shard = bytes] {
          save_folder(folder_ / "x", other, {.dtype = SaveDType::kF32, .max_shard_bytes = shard});
        },
        (folder_ / file) + ": cannot be written (");
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  DeepseekV3 loaded = load_folder(folder_ / "x", arena_);
  expect_same_values(loaded, model);
  int n_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "x"))
    n_files += entry.exists();
  EXPECT_EQ(n_files, 3);
}

TEST_F(SaveModelTest, RefusesAnUnwritableFolder) {
  DeepseekV3 model = random_model("tiny");
  for (const std::string& folder : {std::string("/proc/hadal"), folder_.write("file", "")}) {
    expect_refused<IoError>([&] { save_folder(folder, model, {}); },
                            folder + ": folder cannot be created (");
  }
}

class DamagedCheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    copy_files(golden_folder("a_yarn_mtp"), folder_.path());
    tensors_ = read_all(TensorSource::open(golden_folder("a_yarn_mtp")));
  }
  // The message of load_model after `change`, "" if it loads.
  std::string after(const std::function<void(Tensors&)>& change) {
    change(tensors_);
    write_all(folder_ / "model.safetensors", tensors_);
    return message();
  }
  std::string message() {
    try {
      Arena arena;
      load_folder(folder_.path(), arena);
    } catch (const FormatError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "";
  }
  // Replaces a matrix by FP8 codes of its shape and, optionally, scales.
  void make_fp8(Tensors& t, const Tensor::Shape& scale_shape, float scale) {
    const Tensor::Shape shape = t.at(kWeight).shape();
    t[kWeight] = Tensor::zeros(arena_, DType::kF8E4M3, shape);
    Tensor scales = Tensor::empty(arena_, DType::kF32, scale_shape);
    for (float& value : scales.flat<float>()) value = scale;
    t[std::string(kWeight) + "_scale_inv"] = std::move(scales);
  }
  static constexpr const char* kWeight = "model.layers.1.self_attn.o_proj.weight";
  Arena arena_;
  TemporaryFolder folder_;
  Tensors tensors_;
};

TEST_F(DamagedCheckpointTest, TheCopyLoads) {
  EXPECT_EQ(after([](Tensors&) {}), "");
}
TEST_F(DamagedCheckpointTest, MissingTensor) {
  const std::string text = after([](Tensors& t) { t.erase("model.norm.weight"); });
  EXPECT_NE(text.find("\"model.norm.weight\" is missing"), std::string::npos) << text;
}
TEST_F(DamagedCheckpointTest, WrongShape) {
  const std::string text = after(
      [&](Tensors& t) { t["model.norm.weight"] = Tensor::zeros(arena_, DType::kBF16, {63}); });
  EXPECT_NE(text.find("found BF16 [63], expected F32, BF16 or F16 [64]"), std::string::npos)
      << text;
}
TEST_F(DamagedCheckpointTest, WrongType) {
  EXPECT_NE(after([&](Tensors& t) {
              t["model.norm.weight"] = Tensor::zeros(arena_, DType::kI32, {64});
            }).find("found I32 [64]"),
            std::string::npos);
  EXPECT_NE(after([&](Tensors& t) {
              t["model.norm.weight"] = Tensor::zeros(arena_, DType::kF8E4M3, {64});
            }).find("found F8_E4M3 [64]"),
            std::string::npos);
}
TEST_F(DamagedCheckpointTest, Fp8WithoutOrWithWrongScales) {
  const Tensor::Shape right = {1, 1};
  EXPECT_EQ(after([&](Tensors& t) { make_fp8(t, right, 1.0F); }), "");
  EXPECT_NE(after([&](Tensors& t) {
              make_fp8(t, {1, 2}, 1.0F);
            }).find("wrong scales"),
            std::string::npos);
  const float bad = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(after([&](Tensors& t) { make_fp8(t, right, bad); }).find("not finite"),
            std::string::npos);
  EXPECT_NE(after([&](Tensors& t) {
              t.erase(std::string(kWeight) + "_scale_inv");
            }).find("without its scales"),
            std::string::npos);
}
// F8_E8M0, exponents alone: 125 is 2^-2, 0 is 2^-127, 255 is no number.
TEST_F(DamagedCheckpointTest, Fp8ScalesMayBeExponents) {
  const auto with_exponent = [&](Tensors& t, uint8_t exponent) {
    make_fp8(t, {1, 1}, 0.0F);
    for (f8e4m3& code : t[kWeight].flat<f8e4m3>()) code = to_f8e4m3(3.0F);
    Tensor scales = Tensor::zeros(arena_, DType::kF8E8M0, {1, 1});
    *static_cast<uint8_t*>(scales.raw()) = exponent;
    t[std::string(kWeight) + "_scale_inv"] = std::move(scales);
  };
  for (const auto& [exponent, value] :
       {std::pair{uint8_t{125}, 0.75F}, {uint8_t{0}, 0x1.8p-126F}}) {
    EXPECT_EQ(after([&, code = exponent](Tensors& t) { with_exponent(t, code); }), "");
    const DeepseekV3 model = load_folder(folder_.path(), arena_);
    EXPECT_EQ(model.layers[1].attn.w_o.weight.master.flat<float>()[7], value);
  }
  EXPECT_NE(after([&](Tensors& t) { with_exponent(t, 255); }).find("not finite"),
            std::string::npos);
}
TEST_F(DamagedCheckpointTest, UnknownTensors) {
  const auto one = [&] { return Tensor::zeros(arena_, DType::kBF16, {1}); };
  EXPECT_EQ(after([&](Tensors& t) { t["vision.weight"] = one(); }), "");  // a warning
  EXPECT_EQ(after([&](Tensors& t) { t["model.layers.0.self_attn.rotary_emb.inv_freq"] = one(); }),
            "");
  EXPECT_NE(after([&](Tensors& t) {
              t["model.layers.0.self_attn.o_proj.bias"] = one();
            }).find("has no such tensor"),
            std::string::npos);
}
TEST_F(DamagedCheckpointTest, ExpertsThatTheModelDoesNotHave) {
  EXPECT_NE(after([&](Tensors& t) {
              t["model.layers.1.mlp.experts.8.up_proj.weight"] =
                  Tensor::zeros(arena_, DType::kBF16, {12, 64});
            }).find("has no such tensor"),
            std::string::npos);
}
TEST_F(DamagedCheckpointTest, ACopyOfAnotherShape) {
  EXPECT_NE(
      after([&](Tensors& t) {
        t["model.layers.3.embed_tokens.weight"] = Tensor::zeros(arena_, DType::kBF16, {1, 64});
      }).find("copy of the shared table"),
      std::string::npos);
}
TEST_F(DamagedCheckpointTest, AConfigThatAsksForMillionsOfExperts) {
  Json config = parse_json_file(folder_ / "config.json");
  config["n_routed_experts"] = 16384;
  config["num_hidden_layers"] = 60;
  folder_.write("config.json", config.dump());
  EXPECT_NE(message().find("too few tensors"), std::string::npos) << message();
}
TEST_F(DamagedCheckpointTest, AFolderThatIsIncomplete) {
  std::filesystem::remove(folder_ / "model.safetensors");
  EXPECT_NE(message().find("no weights"), std::string::npos);
  std::filesystem::remove(folder_ / "config.json");
  EXPECT_NE(message().find("no config.json"), std::string::npos);
  folder_.write("config.json", "{");
  EXPECT_NE(message().find("not valid JSON"), std::string::npos);
}
TEST_F(DamagedCheckpointTest, EveryTruncationOfTheWeights) {
  const std::string whole = read_bytes(folder_ / "model.safetensors");
  for (size_t length = 0; length < whole.size(); length += whole.size() / 50 + 1) {
    folder_.write("model.safetensors", std::string_view(whole).substr(0, length));
    EXPECT_NE(message(), "") << length;
  }
}

}  // namespace
}  // namespace hadal::test
