// model/convert, ops/quantize_q8_q4, model/inspect.
#include "hadal/model/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "hadal/core/error.h"
#include "hadal/io/file_journal.h"
#include "hadal/io/manifest.h"
#include "hadal/io/path_status.h"
#include "hadal/io/safetensors.h"
#include "hadal/model/checkpoint.h"
#include "hadal/model/checkpoint_writer.h"
#include "hadal/model/hf_storage.h"
#include "hadal/model/inspect.h"
#include "hadal/ops/quantize.h"
#include "hadal/ops/quantize_q8_q4.h"
#include "tests/support/compare.h"
#include "tests/support/golden_case.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace hadal::test {
namespace {

class BlockQuantizationTest : public ::testing::TestWithParam<std::pair<int64_t, int64_t>> {
 protected:
  ThreadPool pool_{2};
  Arena arena_;
  Context ctx_{pool_, arena_};
};

// The squares of a block's errors add up to at most what half a step of amax / largest code for every
// value gives, whatever scale was chosen; rounding it to BF16 adds one part in 256 of a value. Blocks of
// zeros, tiny and huge values included.
TEST_P(BlockQuantizationTest, ErrorIsHalfAStepOfTheBlock) {
  const auto [rows, cols] = GetParam();
  Tensor w = ctx_.empty({rows, cols});
  const std::vector<float> values = random_values(rows * cols, 3);
  for (int64_t i = 0; i < rows * cols; ++i) {
    const float size[] = {1.0F, 0.0F, 1e-35F, 1e30F, 0.02F};
    w.flat<float>()[static_cast<size_t>(i)] = values[static_cast<size_t>(i)] * size[i / cols % 5];
  }
  Tensor q8 = ctx_.empty({rows, cols}), q4 = ctx_.empty({rows, cols});
  const auto in = std::as_const(w).mat();
  dequantize(ctx_, q8.mat(), quantize_q8(ctx_, in));
  dequantize(ctx_, q4.mat(), quantize_q4(ctx_, in));
  const float floor = 0x1.0p-127F;  // half the smallest scale
  for (int64_t n = 0; n < rows; ++n) {
    for (int64_t first = 0; first < cols; first += 32) {
      const int64_t last = std::min(cols, first + 32);
      float amax = 0.0F;
      for (int64_t k = first; k < last; ++k) amax = std::max(amax, std::abs(in(n, k)));
      const auto expect_small = [&](const Tensor& got, float largest_code) {
        const double step = double{amax} / double{largest_code};
        double sum = 0.0;
        for (int64_t k = first; k < last; ++k) {
          sum += std::pow(double{std::as_const(got).mat()(n, k)} - double{in(n, k)}, 2);
        }
        const double each = std::max(double{floor}, step / 2.0 * (1.0 + 0x1.0p-7));
        ASSERT_LE(std::sqrt(sum), each * std::sqrt(static_cast<double>(last - first)));
      };
      expect_small(q8, 127.0F);
      expect_small(q4, 7.0F);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Shapes, BlockQuantizationTest,
                         ::testing::Values(std::pair{5, 64}, std::pair{7, 33}, std::pair{130, 1},
                                           std::pair{1, 31}, std::pair{5, 95}));

class ConvertTest : public ::testing::Test {
 protected:
  ConvertReport convert(const std::string& source, const std::string& target, WeightForm dtype,
                        int64_t max_shard_bytes = 1 << 30) {
    return convert_checkpoint(
        ctx_, source, folder_ / target,
        {.forms = {.projections = dtype}, .overwrite = false, .max_shard_bytes = max_shard_bytes});
  }
  DeepseekV3 load(const std::string& name) { return load_model(ctx_, folder_ / name); }
  // sqrt(sum of squared differences / sum of squares) over all parameters
  static double distance(DeepseekV3& got, DeepseekV3& want) {
    double difference = 0, size = 0;
    const auto a = named_params(got), b = named_params(want);
    for (size_t i = 0; i < b.size(); ++i) {
      const auto x = std::as_const(a[i].param->master).flat<float>();
      const auto y = std::as_const(b[i].param->master).flat<float>();
      for (size_t j = 0; j < y.size(); ++j) {
        difference += std::pow(double{x[j]} - double{y[j]}, 2);
        size += std::pow(double{y[j]}, 2);
      }
    }
    return std::sqrt(difference / size);
  }
  ThreadPool pool_{2};
  Arena arena_;
  Context ctx_{pool_, arena_};
  TemporaryFolder folder_;
};

TEST_F(ConvertTest, F32AndBackIsBitForBit) {
  convert(golden_folder("a_yarn_mtp"), "f32", WeightForm::kF32);
  const ConvertReport report = convert(folder_ / "f32", "bf16", WeightForm::kBF16);
  EXPECT_GT(report.bytes_in, report.bytes_out * 3 / 2);
  const TensorSource want = TensorSource::open(golden_folder("a_yarn_mtp"));
  const TensorSource got = TensorSource::open(folder_ / "bf16");
  ASSERT_EQ(got.entries().size(), want.entries().size());
  for (const auto& [name, entry] : want.entries()) {
    const Tensor a = want.tensor(entry), b = got.tensor(*got.find(name));
    ASSERT_EQ(a.dtype(), b.dtype()) << name;
    EXPECT_EQ(std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())), 0) << name;
  }
  EXPECT_EQ(load_config(folder_ / "bf16"), load_config(golden_folder("a_yarn_mtp")));
}

TEST_F(ConvertTest, Fp8CheckpointsBecomeBF16WithoutScales) {
  convert(golden_folder("c2_fp8_ue8m0"), "bf16", WeightForm::kBF16);
  const TensorSource source = TensorSource::open(folder_ / "bf16");
  for (const auto& [name, entry] : source.entries()) {
    EXPECT_FALSE(name.ends_with("_scale_inv"));
    EXPECT_TRUE(entry.info->dtype == DType::kBF16 || name.ends_with("correction_bias"));
  }
  EXPECT_FALSE(load_config(folder_ / "bf16").fp8);
  // power-of-two scales: code * scale is a BF16
  DeepseekV3 got = load("bf16"), want = load_model(ctx_, golden_folder("c2_fp8_ue8m0"));
  EXPECT_EQ(distance(got, want), 0.0);
}

TEST_F(ConvertTest, Fp8ToFp8KeepsCodesAndScales) {
  convert(golden_folder("c2_fp8_ue8m0"), "fp8", WeightForm::kFp8);
  EXPECT_EQ(load_config(folder_ / "fp8"), load_config(golden_folder("c2_fp8_ue8m0")));
  DeepseekV3 got = load("fp8"), want = load_model(ctx_, golden_folder("c2_fp8_ue8m0"));
  EXPECT_EQ(distance(got, want), 0.0);
}

// Errors in the mean: uniform within half a step gives step / sqrt(12). E4M3 steps are 2^-3 to 2^-4
// of the value; q8 and q4 divide the largest of 32 normal values (about two sigma) by 127 and 7.
TEST_F(ConvertTest, QuantisedCheckpointsLoadWithinTheirPrecision) {
  DeepseekV3 want = load_model(ctx_, golden_folder("b_moonlight"));
  const struct {
    WeightForm dtype;
    const char* name;
    double bound;
  } table[] = {{WeightForm::kFp8, "fp8", 0.04},
               {WeightForm::kQ8, "q8", 0.008},
               {WeightForm::kQ4, "q4", 0.13}};
  for (const auto& row : table) {
    const ConvertReport report = convert(golden_folder("b_moonlight"), row.name, row.dtype);
    EXPECT_LT(report.bytes_out, report.bytes_in) << row.name;
    DeepseekV3 got = load(row.name);
    const double error = distance(got, want);
    EXPECT_LT(error, row.bound) << row.name;
    EXPECT_GT(error, row.bound / 16) << row.name << ": was anything quantised?";
    EXPECT_EQ(parse_json_file(folder_ / (std::string(row.name) + "/config.json"))
                  .at("quantization_config")
                  .at("quant_method")
                  .as_string(),
              row.dtype == WeightForm::kFp8 ? "fp8" : "hadal");
    convert(folder_ / row.name, std::string(row.name) + "-again", row.dtype);  // a copy
    DeepseekV3 again = load(std::string(row.name) + "-again");
    EXPECT_EQ(distance(again, got), 0.0) << row.name;
  }
}

TEST_F(ConvertTest, CopiesWhatBelongsToTheModel) {
  copy_files(golden_folder("f_tied"), folder_.path());
  folder_.write("tokenizer.json", "{\"anything\": 1}");
  folder_.write("generation_config.json", "{\"temperature\": 0.6}");
  Json config = parse_json_file(folder_ / "config.json");
  config["something_of_theirs"] = 7;
  folder_.write("config.json", config.dump());
  convert(folder_.path(), "out", WeightForm::kF32, 100'000);
  EXPECT_EQ(read_bytes(folder_ / "out/tokenizer.json"), "{\"anything\": 1}");
  EXPECT_EQ(read_bytes(folder_ / "out/generation_config.json"), "{\"temperature\": 0.6}");
  const Json converted = parse_json_file(folder_ / "out/config.json");
  EXPECT_EQ(converted.at("something_of_theirs").as_integer(), 7);
  EXPECT_EQ(converted.at("torch_dtype").as_string(), "float32");
  EXPECT_GT(TensorSource::open(folder_ / "out").files().size(), 1U);
}

TEST_F(ConvertTest, RefusesToOverwrite) {
  copy_files(golden_folder("b_moonlight"), folder_.path());
  folder_.write("file", "");
  for (const auto& [target, problem] : {std::pair{".", "source and destination are the same"},
                                        {"file", "the destination is not a folder"}}) {
    expect_refused<ConfigError>([&, to = target] { convert(folder_.path(), to, WeightForm::kF32); },
                                concat(folder_ / target, ": ", problem));
  }
  expect_refused<FormatError>([&] { convert(folder_ / "absent", "x", WeightForm::kF32); },
                              (folder_ / "absent") + ": not a folder");
  folder_.write("full/note", "mine");
  const Refusal full = test::refusal_of([&] { convert(folder_.path(), "full", WeightForm::kF32); });
  EXPECT_EQ(full.place, folder_ / "full");
  EXPECT_EQ(full.advice, "choose another one, or give {force} to replace the checkpoint in it");
  EXPECT_EQ(read_bytes(folder_ / "full/note"), "mine");
  convert_checkpoint(ctx_, folder_.path(), folder_ / "full",
                     {.forms = {.projections = WeightForm::kF32}, .overwrite = true});
  EXPECT_EQ(read_bytes(folder_ / "full/note"), "mine");
  EXPECT_NO_THROW(load("full"));
}

TEST_F(ConvertTest, RefusesToQuantiseWhatIsNotFinite) {
  DeepseekV3 model = load_model(ctx_, golden_folder("b_moonlight"));
  model.layers[1].attn.w_o.weight.master.flat<float>()[5] = std::numeric_limits<float>::infinity();
  save_model(ctx_, folder_ / "bad", model, {.dtype = SaveDType::kF32});
  for (const WeightForm dtype : {WeightForm::kFp8, WeightForm::kQ8, WeightForm::kQ4}) {
    expect_refused<FormatError>(
        [&] { convert(folder_ / "bad", "out", dtype); },
        (folder_ / "bad/model.safetensors") +
            ": tensor \"model.layers.1.self_attn.o_proj.weight\": a value is not finite");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out/model.safetensors"));
  }
}

// One form for most, others for what every token reads; loading holds the tensors to what is written.
TEST_F(ConvertTest, ClassesMayHaveFormsOfTheirOwn) {
  const StoredForms forms{.projections = WeightForm::kQ4,
                          .mixed = {{WeightClass::kAttention, WeightForm::kQ8},
                                    {WeightClass::kShared, WeightForm::kFp8},
                                    {WeightClass::kEmbedding, WeightForm::kQ8},
                                    {WeightClass::kHead, WeightForm::kQ8},
                                    {WeightClass::kEhProj, WeightForm::kQ4}}};
  convert_checkpoint(ctx_, golden_folder("a_yarn_mtp"), folder_ / "mixed", {.forms = forms});
  EXPECT_EQ(hadal_storage(parse_json_file(folder_ / "mixed/config.json"), "config.json"), forms);
  const TensorSource source = TensorSource::open(folder_ / "mixed");
  const auto dtype = [&](const std::string& name) { return source.find(name)->info->dtype; };
  EXPECT_EQ(dtype("model.layers.1.self_attn.kv_b_proj.weight"), DType::kI8);
  EXPECT_EQ(dtype("model.layers.1.mlp.experts.0.up_proj.weight"), DType::kU8);
  EXPECT_EQ(dtype("model.layers.1.mlp.shared_experts.up_proj.weight"), DType::kF8E4M3);
  EXPECT_EQ(dtype("model.layers.0.mlp.up_proj.weight"), DType::kU8);
  EXPECT_EQ(dtype("model.layers.1.mlp.gate.weight"), DType::kBF16);
  EXPECT_EQ(dtype("model.embed_tokens.weight"), DType::kI8);
  DeepseekV3 got = load("mixed"), want = load_model(ctx_, golden_folder("a_yarn_mtp"));
  EXPECT_LT(distance(got, want), 0.13);

  // Another conversion's config.json over these weights.
  convert(golden_folder("a_yarn_mtp"), "q4", WeightForm::kQ4);
  folder_.write("mixed/config.json", read_bytes(folder_ / "q4/config.json"));
  expect_refused<FormatError>([&] { load("mixed"); },
                              "stored in another form than config.json says (found Q8, expected");
}

// Three shards of two weights each, of which a first try makes some.
class StepsTest : public ConvertTest {
 protected:
  StepsTest() {
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
      plan_.push_back({name, {8, 8}, WeightForm::kF32});
    }
    files_.config["made_of"] = "steps";
    files_.max_shard_bytes = 512;
  }
  // The weights asked for, "abc"; stops before weight `stop`.
  std::string write(size_t stop, const std::string& key = "key") {
    std::string asked;
    try {
      FileJournal journal(folder_ / "out.unfinished", key);
      write_checkpoint_in_steps(journal, folder_ / "out", plan_, files_, [&](size_t i) {
        if (i == stop) throw IoError("out of space");
        asked += plan_[i].name;
        std::vector<Tensor> one;
        one.push_back(Tensor::zeros(arena_, DType::kF32, {8, 8}));
        one[0].flat<float>()[0] = static_cast<float>(i);
        return one;
      });
    } catch (const IoError&) {
    }
    return asked;
  }
  bool is_there() { return std::filesystem::exists(folder_ / "out"); }
  void expect_whole() {
    const TensorSource source = TensorSource::open(folder_ / "out");
    for (size_t i = 0; i < plan_.size(); ++i) {
      const Tensor values = source.tensor(*source.find(plan_[i].name));
      EXPECT_EQ(values.flat<float>()[0], static_cast<float>(i));
    }
    EXPECT_EQ(entry_names(folder_.path()), std::vector<std::string>{"out"});
    EXPECT_EQ(entry_names(folder_ / "out").size(), 6U);  // three shards, index, two configs
  }
  std::vector<PlannedWeight> plan_;
  CheckpointFiles files_;
};

TEST_F(StepsTest, GoesOnWhereItStopped) {
  EXPECT_EQ(write(3), "abc");  // "c" is in a shard that was not finished
  EXPECT_FALSE(is_there());
  EXPECT_EQ(write(4), "cd");
  EXPECT_EQ(write(9), "ef");
  expect_whole();
}

TEST_F(StepsTest, WhatIsNoLongerWholeIsMadeAgain) {
  EXPECT_EQ(write(5), "abcde");
  std::string shard = read_bytes(folder_ / "out.unfinished/model-00001-of-000003.safetensors");
  shard.back() ^= 1;
  folder_.write("out.unfinished/model-00001-of-000003.safetensors", shard);
  EXPECT_EQ(write(9), "abef");
  expect_whole();
}

TEST_F(StepsTest, OtherWorkBeginsAfresh) {
  EXPECT_EQ(write(5), "abcde");
  EXPECT_EQ(write(9, "another source"), "abcdef");
  expect_whole();
}

TEST_F(StepsTest, TwoDoNotWorkInOneFolder) {
  const FileJournal other(folder_ / "out.unfinished", "key");
  expect_refused<ConfigError>([&] { write(9); }, "another process is writing there");
}

TEST_F(StepsTest, AFolderThatIsThereKeepsWhatIsNotTheModels) {
  folder_.write("out/notes.txt", "mine");
  folder_.write("out/model-00004-of-000009.safetensors", "older");
  EXPECT_EQ(write(5), "abcde");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/model-00004-of-000009.safetensors"));
  EXPECT_EQ(write(9), "ef");
  EXPECT_EQ(read_bytes(folder_ / "out/notes.txt"), "mine");
  std::filesystem::remove(folder_ / "out/notes.txt");
  expect_whole();
}

class InspectTest : public ConvertTest {
 protected:
  Json inspect(const std::string& path, bool verify = false) {
    return inspect_path(ctx_, path, kind_of(path), verify);
  }
};

TEST_F(InspectTest, DescribesEveryKind) {
  const Json checkpoint = inspect(golden_folder("a_yarn_mtp"), true);
  EXPECT_EQ(checkpoint.at("kind").as_string(), "checkpoint");
  EXPECT_EQ(checkpoint.at("architecture").as_string(), "DeepseekV3ForCausalLM");
  const ParameterCount count = count_parameters(load_config(golden_folder("a_yarn_mtp")));
  EXPECT_EQ(checkpoint.at("parameters_total").as_integer(), count.total);
  EXPECT_EQ(checkpoint.at("parameters_active").as_integer(), count.active);
  EXPECT_EQ(checkpoint.at("config").at("hidden_size").as_integer(), 64);
  EXPECT_TRUE(checkpoint.at("verified").as_bool());

  const Json file = inspect(golden_folder("a_yarn_mtp") + "/model.safetensors");
  EXPECT_EQ(file.at("kind").as_string(), "safetensors");
  EXPECT_EQ(file.at("tensors").as_array().size(), checkpoint.at("tensors").as_array().size());
  EXPECT_EQ(file.at("bytes"), checkpoint.at("bytes"));
  EXPECT_EQ(inspect(golden_folder("a_yarn_mtp") + "/config.json").at("kind").as_string(), "config");
  EXPECT_EQ(inspect("deepseek-v3").at("parameters_total").as_integer(), 671'026'419'200);
  EXPECT_EQ(kind_of(folder_.write("tokenizer.json", R"({"added_tokens":[],"model":{}})")),
            InspectKind::kTokenizer);
  expect_refused<FormatError>([&] { inspect(folder_ / "absent"); },
                              (folder_ / "absent") + ": no such folder or file");
}

TEST_F(InspectTest, VerifyFindsValuesThatAreNotFinite) {
  DeepseekV3 model = load_model(ctx_, golden_folder("b_moonlight"));
  model.final_norm.weight.master.flat<float>()[2] = std::numeric_limits<float>::quiet_NaN();
  for (const SaveDType dtype : {SaveDType::kF32, SaveDType::kBF16}) {
    save_model(ctx_, folder_ / "bad", model, {.dtype = dtype});
    EXPECT_NO_THROW(inspect(folder_ / "bad"));
    expect_refused<FormatError>([&] { inspect(folder_ / "bad", true); },
                                (folder_ / "bad/model.safetensors") +
                                    ": tensor \"model.norm.weight\": 1 values are not finite");
  }
}

TEST_F(InspectTest, VerifyHoldsTheFilesToTheirManifest) {
  copy_files(golden_folder("b_moonlight"), folder_.path());
  write_manifest(folder_.path());
  EXPECT_NO_THROW(inspect(folder_.path(), true));
  folder_.write("generation_config.json", "{}");  // not listed
  EXPECT_NO_THROW(inspect(folder_.path(), true));
  std::string config = read_bytes(folder_ / "config.json");
  folder_.write("config.json", config + " ");
  EXPECT_NO_THROW(inspect(folder_.path()));
  expect_refused<FormatError>([&] { inspect(folder_.path(), true); },
                              (folder_ / "manifest.json") + ": config.json: found {");
}

TEST_F(InspectTest, ACheckpointIsHeldToItsConfig) {
  copy_files(golden_folder("b_moonlight"), folder_.path());
  Json config = parse_json_file(folder_ / "config.json");
  config["moe_intermediate_size"] = 17;
  folder_.write("config.json", config.dump());
  expect_refused<FormatError>(
      [&] { inspect(folder_.path()); },
      (folder_ / "model.safetensors") +
          ": tensor \"model.layers.1.mlp.experts.0.gate_proj.weight\": wrong type or shape");
}

}  // namespace
}  // namespace hadal::test
